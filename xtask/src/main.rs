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

/// A task: its name, what it is for, and what it does with the rest of the command line.
struct Task(&'static str, &'static str, fn(&[OsString]) -> Result<()>);

const TASKS: &[Task] = &[
    Task("ci", "all that CI checks on this machine, with a table at the end", ci::run),
    Task("test", "all tests, and the examples of the documentation", tasks::test),
    Task("demo", "a controller on several clusters; arguments go to it", tasks::demo),
    Task("bench", "the benches of the budgets, within ten minutes; arguments name some of them", bench::run),
    Task("crds", "writes the definitions of the custom resources", tasks::crds),
    Task("shuttle", "the core's races under many schedules", tasks::shuttle),
    Task("tidy", "the architecture's invariants, checked on the sources", tidy::run),
    Task("fmt", "rustfmt, as a check", tasks::fmt),
    Task("clippy", "all targets, warnings denied", tasks::clippy),
    Task("doc", "the documentation, warnings denied", tasks::doc),
    Task("hack", "cargo-hack: every feature alone, none and all", tools::hack),
    Task("deny", "cargo-deny: licences, advisories, sources", tools::deny),
    Task("shear", "cargo-shear: dependencies without a use", tools::shear),
    Task("semver", "cargo-semver-checks: the public API since main", tools::semver),
    Task("typos", "typos: spelling", tools::typos),
    Task("lychee", "lychee: links between pages and to headings", tools::lychee),
    Task("taplo", "taplo: the form of the TOML files", tools::taplo),
];

/// The tasks that take the rest of the command line.
const TAKE_ARGUMENTS: [&str; 3] = ["demo", "bench", "shuttle"];

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
    let takes_arguments = TAKE_ARGUMENTS.iter().any(|task| name == *task);
    ensure!(takes_arguments || arguments.is_empty(), "{} takes no arguments", name.display());
    run(&arguments)
}

fn usage() -> String {
    let lines = TASKS.iter().map(|Task(name, about, _)| format!("  {name:8} {about}\n"));
    format!("usage: cargo xtask <task> [arguments]\n\n{}", lines.collect::<String>())
}
