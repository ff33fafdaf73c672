//! `cargo xtask ci`: every check of CI, one after the other, with a table at the end.
//!
//! A step runs whatever became of the one before, so that one run shows all that is wrong.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use crate::process::{Failure, Task, no_arguments};
use crate::{tasks, tidy, tools};

/// The cheap ones first. Clippy's metadata of the dependencies serves doc.
const STEPS: &[Task] = &[
    Task { name: "fmt", about: "", run: tasks::fmt },
    Task { name: "tidy", about: "", run: tidy::run },
    Task { name: "clippy", about: "", run: tasks::clippy },
    Task { name: "doc", about: "", run: tasks::doc },
    Task { name: "test", about: "", run: tasks::test },
];

type Row = (&'static str, Result<(), Failure>, Duration);

pub(crate) fn run(arguments: &[OsString]) -> Result<(), Failure> {
    no_arguments(arguments)?;
    let steps = STEPS.iter().chain(tools::TASKS);
    let rows: Vec<Row> = steps
        .map(|step| {
            eprintln!("\n=== {} ===", step.name);
            let start = Instant::now();
            (step.name, (step.run)(&[]), start.elapsed())
        })
        .collect();
    println!("\n{}", table(&rows));
    let failed = rows.iter().filter(|(_, result, _)| !matches!(result, Ok(()) | Err(Failure::Missing { .. })));
    let failed: Vec<_> = failed.map(|(name, ..)| *name).collect();
    if failed.is_empty() { Ok(()) } else { Err(Failure::Steps(failed)) }
}

fn table(rows: &[Row]) -> String {
    let clock = |time: Duration| format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60);
    let lines = rows.iter().map(|(name, result, time)| {
        let verdict = match result {
            Ok(()) => "passed".to_owned(),
            Err(failure @ Failure::Missing { .. }) => format!("skipped: {failure}"),
            Err(failure) => format!("FAILED: {failure}"),
        };
        format!("{name:8} {:>6}  {verdict}\n", clock(*time))
    });
    format!("{}{:8} {:>6}", lines.collect::<String>(), "all", clock(rows.iter().map(|(.., time)| *time).sum()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Failure, table};

    #[test]
    fn the_table_has_a_line_for_each_step_and_the_sum_of_their_times() {
        let missing = Failure::Missing { tool: "typos", install: "cargo install typos-cli" };
        let table = table(&[
            ("fmt", Ok(()), Duration::from_secs(59)),
            ("test", Err(Failure::Violations(2)), Duration::from_secs(62)),
            ("typos", Err(missing), Duration::ZERO),
        ]);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[..2], ["fmt        0:59  passed", "test       1:02  FAILED: 2 violations"]);
        assert!(lines[2].starts_with("typos      0:00  skipped: typos is not installed"), "{}", lines[2]);
        assert_eq!(lines[3], "all        2:01");
    }
}
