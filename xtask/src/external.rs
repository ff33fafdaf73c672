//! `cargo xtask deny` and `mutants`: tools of others with this project's settings. Neither is installed unasked.

use std::ffi::OsString;

use crate::process::{Failure, cargo};

/// Licences, advisories, bans and sources, by `deny.toml`.
pub(crate) fn deny(arguments: &[OsString]) -> Result<(), Failure> {
    installed("deny", "cargo-deny")?;
    cargo().args(["deny", "--workspace", "check"]).args(arguments).run()
}

/// Changes the core's code in every way that `.cargo/mutants.toml` leaves in, and tells which change no test notices.
pub(crate) fn mutants(arguments: &[OsString]) -> Result<(), Failure> {
    installed("mutants", "cargo-mutants")?;
    cargo().args(["mutants", "--package", "clientmgr-core"]).args(arguments).run()
}

fn installed(subcommand: &str, package: &str) -> Result<(), Failure> {
    if cargo().args([subcommand, "--version"]).succeeds() {
        return Ok(());
    }
    Err(Failure::Missing { what: package.to_owned(), install: format!("cargo install --locked {package}") })
}
