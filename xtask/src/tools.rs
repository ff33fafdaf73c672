//! The standard tools that CI runs, with our arguments. None is part of a usual Rust, and none is installed for you.

use std::fmt;
use std::process::Command;

use anyhow::Result;

use crate::process::{cargo, program, root, run, succeeds};

/// A tool that CI has is not installed here. `cargo xtask ci` skips the check.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) tool: &'static str,
    pub(crate) package: &'static str,
}

impl std::error::Error for Missing {}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not installed: `cargo install {}`", self.tool, self.package)
    }
}

/// Checks the libraries with every set of features. The libraries name no version of Kubernetes, so the environment does;
/// k8s-openapi is rebuilt when it changes, so the build has a target directory of its own.
pub(crate) fn hack() -> Result<()> {
    let hack = installed("cargo hack", "cargo-hack")?;
    let clippy = |mut command: Command| {
        let version = std::env::var_os("K8S_OPENAPI_ENABLED_VERSION").unwrap_or_else(|| "1.37".into());
        command.env("K8S_OPENAPI_ENABLED_VERSION", version).env("CARGO_TARGET_DIR", root().join("target").join("hack"));
        run(command.args(["--", "--deny", "warnings"]))
    };
    // kube refuses oauth and oidc without TLS, and OpenSSL needs the headers of a system library.
    let openssl = succeeds(program("pkg-config").args(["--exists", "openssl"]));
    let excluded = if openssl { "oauth,oidc" } else { "oauth,oidc,openssl-tls" };
    let each = "clippy --workspace --ignore-private --lib --each-feature --exclude-features";
    clippy(with(hack, &format!("{each} {excluded}")))?;
    clippy(with(cargo(), "clippy --package clientmgr-kube --lib --features oauth,oidc"))
}

pub(crate) fn deny() -> Result<()> {
    run_tool("cargo deny", "cargo-deny", "--workspace check")
}

pub(crate) fn shear() -> Result<()> {
    run_tool("cargo shear", "cargo-shear", "")
}

pub(crate) fn semver() -> Result<()> {
    run_tool("cargo semver-checks", "cargo-semver-checks", "--workspace --baseline-rev origin/main")
}

pub(crate) fn typos() -> Result<()> {
    run_tool("typos", "typos-cli", "")
}

pub(crate) fn lychee() -> Result<()> {
    run_tool("lychee", "lychee", "--include-fragments --no-progress .")
}

pub(crate) fn taplo() -> Result<()> {
    run_tool("taplo", "taplo-cli", "fmt --check")
}

fn run_tool(tool: &'static str, package: &'static str, arguments: &str) -> Result<()> {
    run(&mut with(installed(tool, package)?, arguments))
}

/// Returns the command of a tool, if it is installed.
fn installed(tool: &'static str, package: &'static str) -> Result<Command> {
    let command = || tool.strip_prefix("cargo ").map_or_else(|| program(tool), |name| with(cargo(), name));
    if succeeds(command().arg("--version")) { Ok(command()) } else { Err(Missing { tool, package }.into()) }
}

fn with(mut command: Command, arguments: &str) -> Command {
    command.args(arguments.split_whitespace());
    command
}
