//! The tasks that run cargo with our arguments.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::process::{cargo, exec, flags, output, root, run, succeeds};

/// The whole workspace, with what its tests need beyond the default features. Every task uses the same, so that they
/// share what was built.
///
/// Not `--all-features`: `openssl-tls` needs a system library, and `aws-lc-rs` a long C build. `cargo xtask hack` checks
/// both.
const WORKSPACE: &[&str] = &[
    "--workspace",
    "--features",
    "clientmgr-fake/apiserver,clientmgr-fake/ring,clientmgr-kube/gzip,clientmgr-kube/metrics,clientmgr-kube/proxy,\
     clientmgr-kube/runtime,clientmgr-kube/schemars,clientmgr-kube/simulated",
];

/// Runs all tests, with nextest where it is installed. The conformance suite runs in a process of its own, because its
/// tests share one server; `.config/nextest.toml` excludes it from nextest.
///
/// `KUBEBUILDER_ASSETS` names a directory with `etcd` and `kube-apiserver` for it; `PROPTEST_CASES` is the number of random
/// cases; `NEXTEST_PROFILE` a profile of `.config/nextest.toml`.
pub(crate) fn test() -> Result<()> {
    if let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS") {
        check_assets(Path::new(&assets), Path::is_file)?;
    }
    if !succeeds(cargo().args(["nextest", "--version"])) {
        return run(cargo().arg("test").args(WORKSPACE).arg("--no-fail-fast"));
    }
    let tests = run(cargo().args(["nextest", "run"]).args(WORKSPACE).arg("--no-fail-fast"));
    let conformance = run(cargo().arg("test").args(WORKSPACE).args(["--test", "conformance"]));
    let examples = run(cargo().args(["test", "--doc"]).args(WORKSPACE).arg("--no-fail-fast"));
    tests.and(conformance).and(examples)
}

fn check_assets(assets: &Path, is_file: impl Fn(&Path) -> bool) -> Result<()> {
    for binary in ["etcd", "kube-apiserver"] {
        let path = assets.join(binary).with_extension(std::env::consts::EXE_EXTENSION);
        ensure!(is_file(&path), "KUBEBUILDER_ASSETS is {}, which has no {binary}", assets.display());
    }
    Ok(())
}

/// Runs the Cluster resource end to end, then the controller on several clusters. With arguments only the latter.
pub(crate) fn demo(arguments: &[OsString]) -> Result<()> {
    if arguments.is_empty() {
        run(cargo().args(["run", "--package", "clientmgr-runtime", "--example", "cluster_resource"]))?;
    }
    exec(cargo().args(["run", "--package", "clientmgr-kube", "--example", "demo", "--"]).args(arguments))
}

/// Writes the definitions of the custom resources. A test checks that they are current.
pub(crate) fn crds() -> Result<()> {
    let text = output(cargo().args(["run", "--quiet", "--package", "clientmgr-runtime", "--example", "crds"]))?;
    let path = root().join("deploy/crds/clusters.clientmgr.dev.yaml");
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Runs the core's tests on shuttle's locks. The cfg rebuilds everything, so the build has a target directory of its own.
pub(crate) fn shuttle(arguments: &[OsString]) -> Result<()> {
    let test = ["test", "--package", "clientmgr-core", "--test", "shuttle", "--"];
    let flags = flags("RUSTFLAGS", "--cfg clientmgr_shuttle");
    let target = root().join("target").join("shuttle");
    run(cargo().args(test).args(arguments).env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", target))
}

pub(crate) fn fmt() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))
}

pub(crate) fn clippy() -> Result<()> {
    run(cargo().arg("clippy").args(WORKSPACE).args(["--all-targets", "--", "--deny", "warnings"]))
}

/// Documents the examples too: they bring the version of Kubernetes, which the libraries leave to their users.
pub(crate) fn doc() -> Result<()> {
    let flags = flags("RUSTDOCFLAGS", "--deny warnings");
    run(cargo().arg("doc").args(WORKSPACE).args(["--no-deps", "--lib", "--examples"]).env("RUSTDOCFLAGS", flags))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::check_assets;

    #[test]
    fn a_directory_of_assets_has_both_binaries() {
        let check = |present: &[&str]| {
            let is_file = |path: &Path| present.iter().any(|name| path.file_stem().is_some_and(|stem| stem == *name));
            check_assets(Path::new("assets"), is_file).map_err(|failure| failure.to_string())
        };
        assert_eq!(check(&["etcd", "kube-apiserver"]), Ok(()));
        assert!(check(&["etcd"]).unwrap_err().ends_with("has no kube-apiserver"));
    }
}
