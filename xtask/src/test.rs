//! `cargo xtask test`: every test of the workspace, by nextest where it is installed, and the documentation's examples.
//! The conformance suite of the API server always runs by itself, once and in one process.
//!
//! The environment is handed on as it is. `KUBEBUILDER_ASSETS`, a directory that holds `etcd` and `kube-apiserver`,
//! makes the conformance suite run on those; `PROPTEST_CASES` says how long the properties are tried; `NEXTEST_PROFILE`
//! picks a profile of `.config/nextest.toml`.

use std::ffi::OsString;
use std::path::Path;

use crate::process::{Failure, cargo, takes_no_arguments};
use crate::workspace::WHOLE_WORKSPACE;

/// What a real API server consists of.
const SERVER_BINARIES: [&str; 2] = ["etcd", "kube-apiserver"];

pub(crate) fn run(arguments: &[OsString]) -> Result<(), Failure> {
    takes_no_arguments(arguments)?;
    if let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS") {
        let missing = missing_binaries(Path::new(&assets), Path::is_file);
        if !missing.is_empty() {
            let assets = assets.display();
            return Err(Failure::Invalid(format!(
                "KUBEBUILDER_ASSETS names {assets}, which lacks {}",
                missing.join(", ")
            )));
        }
    }
    if !cargo().args(["nextest", "--version"]).succeeds() {
        // It runs the examples of the documentation as well.
        return cargo().args(["test"]).args(WHOLE_WORKSPACE).args(["--no-fail-fast"]).run();
    }
    let tests = cargo().args(["nextest", "run"]).args(WHOLE_WORKSPACE).args(["--no-fail-fast"]).run();
    // In one process, because its tests share one server; `.config/nextest.toml` leaves it out above.
    let conformance = cargo().args(["test"]).args(WHOLE_WORKSPACE).args(["--test", "conformance"]).run();
    let examples = cargo().args(["test", "--doc"]).args(WHOLE_WORKSPACE).args(["--no-fail-fast"]).run();
    tests.and(conformance).and(examples)
}

fn missing_binaries(assets: &Path, is_file: impl Fn(&Path) -> bool) -> Vec<&'static str> {
    SERVER_BINARIES
        .into_iter()
        .filter(|binary| !is_file(&assets.join(binary).with_extension(std::env::consts::EXE_EXTENSION)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::missing_binaries;

    #[test]
    fn a_directory_of_assets_must_hold_both_binaries() {
        let assets = Path::new("assets");
        assert!(missing_binaries(assets, |_| true).is_empty());
        assert_eq!(missing_binaries(assets, |_| false), ["etcd", "kube-apiserver"]);
        let only_etcd = |path: &Path| path.file_stem().is_some_and(|stem| stem == "etcd");
        assert_eq!(missing_binaries(assets, only_etcd), ["kube-apiserver"]);
    }
}
