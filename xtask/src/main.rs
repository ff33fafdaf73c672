//! Every developer habit of clientmgr as one command.
//!
//! Here: the table of habits and the way to them. What a habit does lives in its own module, and how a program is run
//! in [`process`].

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its terminal")]

mod bench;
mod ci;
mod crds;
mod demo;
mod external;
mod features;
mod lint;
mod process;
mod shuttle;
mod test;
mod tidy;
mod toolchains;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::process::Failure;

/// One habit: what it is called, what it is for, what it does with the rest of the command line.
struct Habit {
    name: &'static str,
    summary: &'static str,
    run: fn(&[OsString]) -> Result<(), Failure>,
}

const HABITS: &[Habit] = &[
    Habit { name: "ci", summary: "everything CI checks on this machine, timed, with a summary", run: ci::run },
    Habit { name: "test", summary: "all tests of the workspace, documentation examples included", run: test::run },
    Habit {
        name: "demo",
        summary: "a controller on several clusters, as a timeline; arguments go to it",
        run: demo::run,
    },
    Habit { name: "bench", summary: "the benches of the budgets; arguments go to criterion", run: bench::run },
    Habit { name: "crds", summary: "writes the definitions of the custom resources to deploy/crds", run: crds::run },
    Habit { name: "tidy", summary: "the architecture and the house rules, checked on the sources", run: tidy::run },
    Habit { name: "fmt", summary: "is everything formatted?", run: lint::fmt },
    Habit { name: "clippy", summary: "all targets, warnings denied", run: lint::clippy },
    Habit { name: "doc", summary: "the documentation, warnings denied", run: lint::doc },
    Habit { name: "features", summary: "every feature alone, none and all together", run: features::run },
    Habit { name: "msrv", summary: "does it build with the oldest supported Rust?", run: toolchains::msrv },
    Habit {
        name: "minimal-versions",
        summary: "does it build with the oldest dependencies it asks for?",
        run: toolchains::minimal_versions,
    },
    Habit { name: "deny", summary: "licences, advisories and sources of the dependencies", run: external::deny },
    Habit { name: "mutants", summary: "does a test notice each change to the core's code?", run: external::mutants },
    Habit { name: "shuttle", summary: "the core's races under every schedule that shuttle tries", run: shuttle::run },
];

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let name = arguments.next().unwrap_or_default();
    let rest: Vec<_> = arguments.collect();

    if matches!(name.to_str(), Some("help" | "--help" | "-h")) {
        print!("{}", usage());
        return ExitCode::SUCCESS;
    }
    let Some(habit) = name.to_str().and_then(find) else {
        if !name.is_empty() {
            eprintln!("xtask: no such command: {}\n", name.display());
        }
        eprint!("{}", usage());
        return ExitCode::from(2);
    };
    match (habit.run)(&rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask {}: {failure}", habit.name);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn find(name: &str) -> Option<&'static Habit> {
    HABITS.iter().find(|habit| habit.name == name)
}

fn usage() -> String {
    use std::fmt::Write;

    let width = HABITS.iter().map(|habit| habit.name.len()).max().unwrap_or_default();
    HABITS.iter().fold("usage: cargo xtask <command> [arguments]\n\n".to_owned(), |mut text, habit| {
        writeln!(text, "  {:width$}  {}", habit.name, habit.summary).expect("a String takes all that is written to it");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{HABITS, find, usage};

    #[test]
    fn every_habit_is_found_by_its_own_name_only() {
        let names: BTreeSet<_> = HABITS.iter().map(|habit| habit.name).collect();
        assert_eq!(names.len(), HABITS.len(), "two habits share a name");
        assert!(HABITS.iter().all(|habit| find(habit.name).is_some_and(|found| found.name == habit.name)));
        assert!(find("no-such-habit").is_none());
    }

    #[test]
    fn the_usage_has_one_line_for_each_habit() {
        let usage = usage();
        for habit in HABITS {
            assert_eq!(
                usage.lines().filter(|line| line.trim_start().starts_with(&format!("{} ", habit.name))).count(),
                1
            );
        }
    }
}
