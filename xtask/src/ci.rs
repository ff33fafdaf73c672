//! `cargo xtask ci`: what CI checks, one step after the other, with a table at the end.
//!
//! Every step runs, whatever became of the one before, so that one run tells all there is to mend. What a step does
//! lives in its own module.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use crate::process::{Failure, takes_no_arguments};
use crate::{external, features, lint, test, tidy, toolchains};

struct Step {
    name: &'static str,
    run: fn(&[OsString]) -> Result<(), Failure>,
    tools: Tools,
}

/// What a step runs with.
#[derive(Clone, Copy)]
enum Tools {
    /// Those of a usual Rust: when one is missing, the step failed.
    Usual,
    /// One that not every machine has: when it is missing, the step is left out, and the table says so. CI has it.
    Extra,
}

/// The cheap ones first. Neighbours share what they build: clippy's metadata of the dependencies serves doc, and the
/// single features come late because each of them builds a few dependencies anew.
const STEPS: &[Step] = &[
    Step { name: "fmt", run: lint::fmt, tools: Tools::Usual },
    Step { name: "tidy", run: tidy::run, tools: Tools::Usual },
    Step { name: "clippy", run: lint::clippy, tools: Tools::Usual },
    Step { name: "doc", run: lint::doc, tools: Tools::Usual },
    Step { name: "test", run: test::run, tools: Tools::Usual },
    Step { name: "features", run: features::run, tools: Tools::Usual },
    Step { name: "msrv", run: toolchains::msrv, tools: Tools::Extra },
    Step { name: "deny", run: external::deny, tools: Tools::Extra },
];

/// What became of a step.
#[derive(Debug, PartialEq)]
enum Verdict {
    Passed,
    /// Its extra tool is missing.
    Skipped(String),
    Failed(String),
}

pub(crate) fn run(arguments: &[OsString]) -> Result<(), Failure> {
    takes_no_arguments(arguments)?;
    let mut results = Vec::new();
    for step in STEPS {
        eprintln!("\n=== {} ===", step.name);
        let start = Instant::now();
        let verdict = judge((step.run)(&[]), step.tools);
        results.push((step.name, verdict, start.elapsed()));
    }
    println!("\n{}", table(&results));
    let failed: Vec<_> = results
        .iter()
        .filter(|(_, verdict, _)| matches!(verdict, Verdict::Failed(_)))
        .map(|(name, ..)| *name)
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(Failure::Steps(failed)) }
}

fn judge(result: Result<(), Failure>, tools: Tools) -> Verdict {
    match (result, tools) {
        (Ok(()), _) => Verdict::Passed,
        (Err(failure @ Failure::Missing { .. }), Tools::Extra) => Verdict::Skipped(failure.to_string()),
        (Err(failure), _) => Verdict::Failed(failure.to_string()),
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

    use super::{Tools, Verdict, judge, table};
    use crate::process::Failure;

    #[test]
    fn only_a_missing_extra_tool_is_skipped() {
        let missing = || Err(Failure::Missing { what: "it".into(), install: "get it".into() });
        assert!(matches!(judge(missing(), Tools::Extra), Verdict::Skipped(_)));
        assert!(matches!(judge(missing(), Tools::Usual), Verdict::Failed(_)));
        assert!(matches!(judge(Err(Failure::Found(1)), Tools::Extra), Verdict::Failed(_)));
        assert_eq!(judge(Ok(()), Tools::Usual), Verdict::Passed);
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
