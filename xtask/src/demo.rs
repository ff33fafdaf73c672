//! `cargo xtask demo`: the example `demo` of clientmgr-kube, with all arguments handed on and its exit status kept.

use std::ffi::OsString;

use crate::process::{Failure, cargo};

pub(crate) fn run(arguments: &[OsString]) -> Result<(), Failure> {
    cargo().args(["run", "--package", "clientmgr-kube", "--example", "demo", "--"]).args(arguments).take_over()
}
