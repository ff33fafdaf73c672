//! The standard tools that CI runs, with our arguments. None is part of a usual Rust, and none is installed for you.

use std::ffi::OsString;
use std::process::Command;

use crate::process::{Failure, Task, cargo, program, root, run, succeeds};

pub(crate) const TASKS: &[Task] = &[
    Task { name: "hack", about: "cargo-hack: every feature alone, none and all", run: hack },
    Task { name: "deny", about: "cargo-deny: licences, advisories, sources", run: deny },
    Task { name: "shear", about: "cargo-shear: dependencies without a use", run: shear },
    Task { name: "semver", about: "cargo-semver-checks: the public API since main", run: semver },
    Task { name: "typos", about: "typos: spelling", run: typos },
    Task { name: "lychee", about: "lychee: links between pages and to headings", run: lychee },
    Task { name: "taplo", about: "taplo: the form of the TOML files", run: taplo },
];

/// Checks the libraries with every set of features. The libraries name no version of Kubernetes, so the environment does;
/// k8s-openapi is rebuilt when it changes, so the build has a target directory of its own.
fn hack(arguments: &[OsString]) -> Result<(), Failure> {
    installed(cargo().args(["hack", "--version"]), "cargo-hack", "cargo install cargo-hack")?;
    let clippy = |command: &mut Command| {
        let version = std::env::var_os("K8S_OPENAPI_ENABLED_VERSION").unwrap_or_else(|| "1.37".into());
        command.env("K8S_OPENAPI_ENABLED_VERSION", version).env("CARGO_TARGET_DIR", root().join("target").join("hack"));
        run(command.args(["--", "--deny", "warnings"]))
    };
    // kube refuses oauth and oidc without TLS, and OpenSSL needs the headers of a system library.
    let openssl = succeeds(program("pkg-config").args(["--exists", "openssl"]));
    let excluded = if openssl { "oauth,oidc" } else { "oauth,oidc,openssl-tls" };
    let each = ["hack", "clippy", "--workspace", "--ignore-private", "--lib", "--each-feature", "--exclude-features"];
    clippy(cargo().args(each).arg(excluded).args(arguments))?;
    clippy(cargo().args(["clippy", "--package", "clientmgr-kube", "--lib", "--features", "oauth,oidc"]))
}

fn deny(arguments: &[OsString]) -> Result<(), Failure> {
    installed(cargo().args(["deny", "--version"]), "cargo-deny", "cargo install cargo-deny")?;
    run(cargo().args(["deny", "--workspace", "check"]).args(arguments))
}

fn shear(arguments: &[OsString]) -> Result<(), Failure> {
    installed(cargo().args(["shear", "--version"]), "cargo-shear", "cargo install cargo-shear")?;
    run(cargo().arg("shear").args(arguments))
}

fn semver(arguments: &[OsString]) -> Result<(), Failure> {
    let version = ["semver-checks", "--version"];
    installed(cargo().args(version), "cargo-semver-checks", "cargo install cargo-semver-checks")?;
    run(cargo().args(["semver-checks", "--workspace", "--baseline-rev", "origin/main"]).args(arguments))
}

fn typos(arguments: &[OsString]) -> Result<(), Failure> {
    installed(program("typos").arg("--version"), "typos", "cargo install typos-cli")?;
    run(program("typos").args(arguments))
}

fn lychee(arguments: &[OsString]) -> Result<(), Failure> {
    installed(program("lychee").arg("--version"), "lychee", "cargo install lychee")?;
    run(program("lychee").args(["--include-fragments", "--no-progress", "."]).args(arguments))
}

fn taplo(arguments: &[OsString]) -> Result<(), Failure> {
    installed(program("taplo").arg("--version"), "taplo", "cargo install taplo-cli")?;
    run(program("taplo").args(["fmt", "--check"]).args(arguments))
}

fn installed(version: &mut Command, tool: &'static str, install: &'static str) -> Result<(), Failure> {
    if succeeds(version) { Ok(()) } else { Err(Failure::Missing { tool, install }) }
}
