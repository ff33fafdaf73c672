//! `cargo xtask ci`: every check of CI, one after the other, with a table at the end.
//!
//! A check runs whether or not the one before passed, so that one run shows all that is wrong.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::tools::Missing;

type Check = (&'static str, fn() -> Result<()>);

pub(crate) fn run(checks: impl Iterator<Item = Check>) -> Result<()> {
    let (mut table, mut failed) = (String::new(), Vec::new());
    for (name, run) in checks {
        eprintln!("\n=== {name} ===");
        let start = Instant::now();
        let result = run();
        if result.as_ref().is_err_and(|error| !error.is::<Missing>()) {
            failed.push(name);
        }
        table += &line(name, &result, start.elapsed());
    }
    println!("\n{table}");
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

fn line(name: &str, result: &Result<()>, took: Duration) -> String {
    let verdict = match result {
        Ok(()) => "passed".to_owned(),
        Err(error) if error.is::<Missing>() => format!("skipped: {error}"),
        Err(error) => format!("FAILED: {error:#}"),
    };
    format!("{name:8} {:>3}:{:02}  {verdict}\n", took.as_secs() / 60, took.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Missing, line};

    #[test]
    fn a_check_whose_tool_is_not_installed_is_skipped_and_does_not_fail() {
        let missing = Missing { tool: "typos", package: "typos-cli" };
        let skipped = line("typos", &Err(missing.into()), Duration::ZERO);
        assert_eq!(skipped, "typos      0:00  skipped: typos is not installed: `cargo install typos-cli`\n");
        let failed = line("test", &Err(anyhow::anyhow!("2 violations")), Duration::from_secs(62));
        assert_eq!(failed, "test       1:02  FAILED: 2 violations\n");
    }
}
