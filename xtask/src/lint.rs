//! `cargo xtask fmt`, `clippy` and `doc`: what the compiler's own tools have to say.

use std::ffi::OsString;

use crate::process::{Failure, cargo, takes_no_arguments};
use crate::workspace::WHOLE_WORKSPACE;

pub(crate) fn fmt(arguments: &[OsString]) -> Result<(), Failure> {
    takes_no_arguments(arguments)?;
    component("rustfmt", "fmt")?;
    cargo().args(["fmt", "--all", "--check"]).run()
}

pub(crate) fn clippy(arguments: &[OsString]) -> Result<(), Failure> {
    takes_no_arguments(arguments)?;
    component("clippy", "clippy")?;
    cargo().args(["clippy"]).args(WHOLE_WORKSPACE).args(["--all-targets", "--", "--deny", "warnings"]).run()
}

/// Naming the examples brings the test dependencies in, and with them the features that clippy has just built the
/// dependencies with. Among them is the Kubernetes version, which the libraries leave to their users.
pub(crate) fn doc(arguments: &[OsString]) -> Result<(), Failure> {
    takes_no_arguments(arguments)?;
    cargo()
        .args(["doc"])
        .args(WHOLE_WORKSPACE)
        .args(["--no-deps", "--lib", "--bins", "--examples"])
        .env_flags("RUSTDOCFLAGS", "--deny warnings")
        .run()
}

fn component(component: &str, subcommand: &str) -> Result<(), Failure> {
    if cargo().args([subcommand, "--version"]).succeeds() {
        return Ok(());
    }
    Err(Failure::Missing { what: component.to_owned(), install: format!("rustup component add {component}") })
}
