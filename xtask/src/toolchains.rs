//! `cargo xtask msrv` and `minimal-versions`: builds with the oldest of everything that the manifests promise.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use crate::process::{self, Failure, Program, cargo, cargo_of, takes_no_arguments};
use crate::workspace::{self, WHOLE_WORKSPACE};

/// With the `rust-version` of the manifests, all targets.
pub(crate) fn msrv(arguments: &[OsString]) -> Result<(), Failure> {
    takes_no_arguments(arguments)?;
    let packages = workspace::packages()?;
    let Some(version) = packages.iter().find_map(|package| package.rust_version.as_deref()) else {
        return Err(Failure::Invalid("no package tells its rust-version".to_owned()));
    };
    installed(version)?;
    cargo_of(version).args(["check", "--all-targets"]).args(WHOLE_WORKSPACE).run()
}

/// With the oldest version of each direct dependency that its requirement allows. Resolving so takes a nightly cargo;
/// the build does not. `Cargo.lock` is put back afterwards.
pub(crate) fn minimal_versions(arguments: &[OsString]) -> Result<(), Failure> {
    takes_no_arguments(arguments)?;
    installed("nightly")?;
    let lock = Lock::keep()?;
    let checked = cargo_of("nightly")
        .args(["update", "-Z", "direct-minimal-versions"])
        .run()
        .and_then(|()| cargo().args(["check", "--all-targets"]).args(WHOLE_WORKSPACE).run());
    lock.restore().and(checked)
}

fn installed(toolchain: &str) -> Result<(), Failure> {
    if Program::new("rustup").args(["run", toolchain, "cargo", "--version"]).succeeds() {
        return Ok(());
    }
    Err(Failure::Missing {
        what: format!("Rust {toolchain}"),
        install: format!("rustup toolchain install {toolchain} --profile minimal"),
    })
}

/// `Cargo.lock` as it was.
struct Lock {
    path: PathBuf,
    text: String,
}

impl Lock {
    fn keep() -> Result<Self, Failure> {
        let path = process::root().join("Cargo.lock");
        let text = fs::read_to_string(&path).map_err(|error| Failure::Invalid(format!("Cargo.lock: {error}")))?;
        Ok(Self { path, text })
    }

    fn restore(self) -> Result<(), Failure> {
        fs::write(&self.path, self.text).map_err(|error| Failure::Invalid(format!("Cargo.lock: {error}")))
    }
}
