//! `cargo xtask ci`: what CI checks, one step after the other, with a table at the end.
//!
//! Every step runs, whatever became of the one before, so that one run tells all there is to mend. What a step does
//! lives in its own module.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use crate::process::{Failure, takes_no_arguments};
use crate::{external, features, lint, test, tidy, toolchains};

type Step = (&'static str, fn(&[OsString]) -> Result<(), Failure>);

/// The cheap ones first. Neighbours share what they build: clippy's metadata of the dependencies serves doc, and the
/// single features come late because each of them builds a few dependencies anew.
const STEPS: &[Step] = &[
    ("fmt", lint::fmt),
    ("tidy", tidy::run),
    ("clippy", lint::clippy),
    ("doc", lint::doc),
    ("test", test::run),
    ("features", features::run),
    ("msrv", toolchains::msrv),
    ("deny", external::deny),
];

/// What became of a step.
#[derive(Debug, PartialEq)]
enum Verdict {
    Passed,
    /// A tool that not every machine has is missing. CI has it.
    Skipped(String),
    Failed(String),
}

pub(crate) fn run(arguments: &[OsString]) -> Result<(), Failure> {
    takes_no_arguments(arguments)?;
    let mut results = Vec::new();
    for (name, step) in STEPS {
        eprintln!("\n=== {name} ===");
        let start = Instant::now();
        let verdict = judge(step(&[]));
        results.push((*name, verdict, start.elapsed()));
    }
    println!("\n{}", table(&results));
    let failed: Vec<_> = results
        .iter()
        .filter(|(_, verdict, _)| matches!(verdict, Verdict::Failed(_)))
        .map(|(name, ..)| *name)
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(Failure::Steps(failed)) }
}

fn judge(result: Result<(), Failure>) -> Verdict {
    match result {
        Ok(()) => Verdict::Passed,
        Err(failure @ Failure::Missing { .. }) => Verdict::Skipped(failure.to_string()),
        Err(failure) => Verdict::Failed(failure.to_string()),
    }
}

fn table(results: &[(&str, Verdict, Duration)]) -> String {
    let total = results.iter().map(|(.., time)| *time).sum();
    let lines = results.iter().map(|(name, verdict, time)| {
        let verdict = match verdict {
            Verdict::Passed => "passed".to_owned(),
            Verdict::Skipped(why) => format!("skipped: {why}"),
            Verdict::Failed(why) => format!("FAILED: {why}"),
        };
        format!("{name:10} {:>8}  {verdict}\n", clock(*time))
    });
    let lines: String = lines.collect();
    format!("{lines}{:10} {:>8}", "all", clock(total))
}

/// Minutes and seconds.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Verdict, judge, table};
    use crate::process::Failure;

    #[test]
    fn only_a_missing_tool_is_skipped() {
        let missing = Failure::Missing { what: "cargo-deny".into(), install: "cargo install cargo-deny".into() };
        assert!(matches!(judge(Err(missing)), Verdict::Skipped(_)));
        assert!(matches!(judge(Err(Failure::Found(1))), Verdict::Failed(_)));
        assert_eq!(judge(Ok(())), Verdict::Passed);
    }

    #[test]
    fn the_table_has_a_line_for_each_step_and_the_sum_of_their_times() {
        let table = table(&[
            ("fmt", Verdict::Passed, Duration::from_secs(59)),
            ("test", Verdict::Failed("2 tests".into()), Duration::from_secs(62)),
        ]);
        assert_eq!(
            table.lines().collect::<Vec<_>>(),
            ["fmt            0:59  passed", "test           1:02  FAILED: 2 tests", "all            2:01"]
        );
    }
}
