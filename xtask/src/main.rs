//! The tasks of a developer as one command: what no standard tool does, and the standard tools with our arguments.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool writes to its terminal")]

mod bench;
mod ci;
mod process;
mod tasks;
mod tidy;
mod tools;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Result, bail, ensure};

/// A task: its name, what it is for, and what runs it.
struct Task(&'static str, &'static str, Run);

enum Run {
    /// Takes the rest of the command line.
    With(fn(&[OsString]) -> Result<()>),
    Alone(fn() -> Result<()>),
    /// A check, which `ci` runs too, in the order of the table.
    Check(fn() -> Result<()>),
}

/// Of the checks, the cheap ones come first. Clippy's metadata of the dependencies serves doc.
const TASKS: &[Task] = &[
    Task("ci", "all that CI checks on this machine, with a table at the end", Run::Alone(ci)),
    Task("demo", "a controller on several clusters; arguments go to it", Run::With(tasks::demo)),
    Task("bench", "the benches of the budgets, within ten minutes; arguments name some of them", Run::With(bench::run)),
    Task("crds", "writes the definitions of the custom resources", Run::Alone(tasks::crds)),
    Task("shuttle", "the core's races under many schedules", Run::With(tasks::shuttle)),
    Task("fmt", "rustfmt, as a check", Run::Check(tasks::fmt)),
    Task("tidy", "the architecture's invariants, checked on the sources", Run::Check(tidy::run)),
    Task("clippy", "all targets, warnings denied", Run::Check(tasks::clippy)),
    Task("doc", "the documentation, warnings denied", Run::Check(tasks::doc)),
    Task("test", "all tests, and the examples of the documentation", Run::Check(tasks::test)),
    Task("hack", "cargo-hack: every feature alone, none and all", Run::Check(tools::hack)),
    Task("deny", "cargo-deny: licences, advisories, sources", Run::Check(tools::deny)),
    Task("shear", "cargo-shear: dependencies without a use", Run::Check(tools::shear)),
    Task("semver", "cargo-semver-checks: the public API since main", Run::Check(tools::semver)),
    Task("typos", "typos: spelling", Run::Check(tools::typos)),
    Task("lychee", "lychee: links between pages and to headings", Run::Check(tools::lychee)),
    Task("taplo", "taplo: the form of the TOML files", Run::Check(tools::taplo)),
];

fn main() -> ExitCode {
    // Not returned from here: its `Debug` form has a backtrace of xtask, which is of no use here.
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let name = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    if let Some("help" | "--help" | "-h") = name.to_str() {
        print!("{}", usage());
        return Ok(());
    }
    let Some(Task(_, _, run)) = TASKS.iter().find(|Task(task, ..)| name == *task) else {
        bail!("no such task: {}\n\n{}", name.display(), usage());
    };
    match run {
        Run::With(run) => run(&arguments),
        Run::Alone(run) | Run::Check(run) => {
            ensure!(arguments.is_empty(), "{} takes no arguments", name.display());
            run()
        }
    }
}

fn ci() -> Result<()> {
    let check = |Task(name, _, run): &Task| match run {
        Run::Check(run) => Some((*name, *run)),
        Run::With(_) | Run::Alone(_) => None,
    };
    ci::run(TASKS.iter().filter_map(check))
}

fn usage() -> String {
    let lines = TASKS.iter().map(|Task(name, about, _)| format!("  {name:8} {about}\n"));
    format!("usage: cargo xtask <task> [arguments]\n\n{}", lines.collect::<String>())
}
