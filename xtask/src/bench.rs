//! `cargo xtask bench`: the benches that measure the budgets. Each is built optimised and prints its own table.

use std::ffi::OsString;

use crate::process::{Failure, cargo};

/// The benches: their package, with what its features need, and their name.
const BENCHES: &[(&[&str], &str)] = &[
    (&["clientmgr-kube"], "manager"),
    (&["clientmgr-kube"], "memory"),
    (&["clientmgr-kube"], "fleet"),
    (&["clientmgr-runtime"], "requeue"),
    (&["kube-testserver"], "apiserver"),
    (&["kube-testserver"], "apiserver_memory"),
];

pub(crate) fn run(arguments: &[OsString]) -> Result<(), Failure> {
    for (package, bench) in BENCHES {
        cargo().args(["bench", "--package"]).args(*package).args(["--bench", bench, "--"]).args(arguments).run()?;
    }
    Ok(())
}
