//! The standard tools that CI runs, with our arguments. None is part of a usual Rust, and none is installed unasked.

use std::ffi::OsString;

use crate::process::{Failure, Program, Task, cargo, root};

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
    let installed = cargo().args(["hack", "--version"]);
    let clippy = |program: Program| {
        let program = program.env("CARGO_TARGET_DIR", root().join("target").join("hack"));
        let version = std::env::var_os("K8S_OPENAPI_ENABLED_VERSION").unwrap_or_else(|| "1.37".into());
        program.env("K8S_OPENAPI_ENABLED_VERSION", version).args(["--", "--deny", "warnings"])
    };
    // kube refuses oauth and oidc without TLS, and OpenSSL needs the headers of a system library.
    let mut excluded = "oauth,oidc".to_owned();
    if !Program::new("pkg-config", "pkg-config").args(["--exists", "openssl"]).succeeds() {
        excluded.push_str(",openssl-tls");
    }
    let each = cargo().args(["hack", "clippy", "--workspace", "--ignore-private", "--lib", "--each-feature"]);
    let each = each.args(["--exclude-features", &excluded]).args(arguments);
    run(installed, "cargo-hack", "cargo install cargo-hack", clippy(each))?;
    clippy(cargo().args(["clippy", "--package", "clientmgr-kube", "--lib", "--features", "oauth,oidc"])).run()
}

fn deny(arguments: &[OsString]) -> Result<(), Failure> {
    let check = cargo().args(["deny", "--workspace", "check"]).args(arguments);
    run(cargo().args(["deny", "--version"]), "cargo-deny", "cargo install cargo-deny", check)
}

fn shear(arguments: &[OsString]) -> Result<(), Failure> {
    let check = cargo().arg("shear").args(arguments);
    run(cargo().args(["shear", "--version"]), "cargo-shear", "cargo install cargo-shear", check)
}

fn semver(arguments: &[OsString]) -> Result<(), Failure> {
    let check = cargo().args(["semver-checks", "--workspace", "--baseline-rev", "origin/main"]).args(arguments);
    let installed = cargo().args(["semver-checks", "--version"]);
    run(installed, "cargo-semver-checks", "cargo install cargo-semver-checks", check)
}

fn typos(arguments: &[OsString]) -> Result<(), Failure> {
    let program = || Program::new("typos", "typos");
    run(program().arg("--version"), "typos", "cargo install typos-cli", program().args(arguments))
}

fn lychee(arguments: &[OsString]) -> Result<(), Failure> {
    let program = || Program::new("lychee", "lychee");
    let check = program().args(["--include-fragments", "--no-progress", "."]).args(arguments);
    run(program().arg("--version"), "lychee", "cargo install lychee", check)
}

fn taplo(arguments: &[OsString]) -> Result<(), Failure> {
    let program = || Program::new("taplo", "taplo");
    let check = program().args(["fmt", "--check"]).args(arguments);
    run(program().arg("--version"), "taplo", "cargo install taplo-cli", check)
}

fn run(installed: Program, tool: &'static str, install: &'static str, check: Program) -> Result<(), Failure> {
    if installed.succeeds() { check.run() } else { Err(Failure::Missing { tool, install }) }
}
