//! The tasks of a developer as one command: what no standard tool does, and the standard tools with our arguments.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool writes to its terminal")]

mod bench;
mod ci;
mod crds;
mod process;
mod tasks;
mod tidy;
mod tools;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::process::{Failure, Task};

const TASKS: &[Task] = &[
    Task { name: "ci", about: "all that CI checks on this machine, with a table at the end", run: ci::run },
    Task { name: "test", about: "all tests, and the examples of the documentation", run: tasks::test },
    Task { name: "demo", about: "a controller on several clusters; arguments go to it", run: tasks::demo },
    Task {
        name: "bench",
        about: "the benches of the budgets, within ten minutes; arguments name some of them",
        run: bench::bench,
    },
    Task { name: "crds", about: "writes the definitions of the custom resources", run: crds::crds },
    Task { name: "shuttle", about: "the core's races under many schedules", run: tasks::shuttle },
    Task { name: "tidy", about: "the architecture's invariants, checked on the sources", run: tidy::run },
    Task { name: "fmt", about: "rustfmt, as a check", run: tasks::fmt },
    Task { name: "clippy", about: "all targets, warnings denied", run: tasks::clippy },
    Task { name: "doc", about: "the documentation, warnings denied", run: tasks::doc },
];

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let name = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    let result = match (name.to_str(), all().find(|task| name == task.name)) {
        (Some("help" | "--help" | "-h"), _) => {
            print!("{}", usage());
            return ExitCode::SUCCESS;
        }
        (_, Some(task)) => (task.run)(&arguments),
        (_, None) => Err(Failure::Usage(format!("no such task: {}\n\n{}", name.display(), usage()))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask {}: {failure}", name.display());
            ExitCode::from(failure.exit_code())
        }
    }
}

fn all() -> impl Iterator<Item = &'static Task> {
    TASKS.iter().chain(tools::TASKS)
}

fn usage() -> String {
    let lines = all().map(|task| format!("  {:8} {}\n", task.name, task.about));
    format!("usage: cargo xtask <task> [arguments]\n\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{all, usage};

    #[test]
    fn every_task_has_a_name_of_its_own_and_a_line_in_the_usage() {
        let names: BTreeSet<_> = all().map(|task| task.name).collect();
        assert_eq!(names.len(), all().count());
        let usage = usage();
        assert!(names.iter().all(|name| usage.contains(&format!("\n  {name:8} "))), "{usage}");
    }
}
