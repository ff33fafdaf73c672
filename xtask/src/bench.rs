//! `cargo xtask bench`: the benches that measure the budgets. Each is built optimised and prints its own table.

use std::ffi::OsString;

use crate::process::{Failure, cargo};

/// The benches, as package and name.
const BENCHES: &[(&str, &str)] = &[("clientmgr-kube", "manager"), ("clientmgr-kube", "memory")];

pub(crate) fn run(arguments: &[OsString]) -> Result<(), Failure> {
    for (package, bench) in BENCHES {
        cargo().args(["bench", "--package", package, "--bench", bench, "--"]).args(arguments).run()?;
    }
    Ok(())
}
