//! The table of a bench: each line of the budgets with its figure, its baseline of the same run, and whether it holds.
//! Printed, and saved as JSON, from which `cargo xtask bench` makes the table of all benches.

#![expect(unreachable_pub, reason = "a module of a bench, which has no public interface")]

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// One line.
#[derive(Serialize)]
pub struct Row {
    what: String,
    unit: &'static str,
    figure: f64,
    baseline: Option<f64>,
    ratio: f64,
    /// What the ratio must be; nothing where the figure is only shown.
    budget: [Option<f64>; 2],
    /// Whether it holds, or why this machine could not measure it.
    pub verdict: &'static str,
}

impl Row {
    /// A figure, whose ratio to the baseline must lie within the budget; where there is no baseline, the figure itself.
    pub fn new(
        what: impl Into<String>,
        unit: &'static str,
        figure: f64,
        baseline: impl Into<Option<f64>>,
        budget: impl RangeBounds<f64>,
    ) -> Self {
        let (what, baseline) = (what.into(), baseline.into());
        let ratio = baseline.map_or(figure, |baseline| figure / baseline);
        let has_budget = !matches!((budget.start_bound(), budget.end_bound()), (Bound::Unbounded, Bound::Unbounded));
        let verdict = match (has_budget, budget.contains(&ratio)) {
            (false, _) => "no budget",
            (true, true) => "holds",
            (true, false) => "does NOT hold",
        };
        let bound = |bound: Bound<&f64>| match bound {
            Bound::Included(value) | Bound::Excluded(value) => Some(*value),
            Bound::Unbounded => None,
        };
        let budget = [bound(budget.start_bound()), bound(budget.end_bound())];
        Self { what, unit, figure, baseline, ratio, budget, verdict }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, unit, figure, baseline, ratio, budget, verdict } = self;
        let baseline = baseline.map_or_else(|| "-".to_owned(), |baseline| format!("{baseline:.2}"));
        let budget = match budget {
            [Some(least), _] => format!("≥ {least}"),
            [None, Some(most)] => format!("≤ {most}"),
            [None, None] => "-".to_owned(),
        };
        write!(f, "{what:<62} {figure:>10.2} {baseline:>10} {unit:<9} {ratio:>8.2} {budget:>8}  {verdict}")
    }
}

/// Prints the rows and saves them as `target/bench/<bench>.json`.
#[expect(clippy::print_stdout, reason = "a bench reports to its user")]
pub fn report(bench: &str, rows: &[Row]) {
    println!("{:<62} {:>10} {:>10} {:<9} {:>8} {:>8}", "", "figure", "baseline", "", "ratio", "budget");
    for row in rows {
        println!("{row}");
    }
    let path = target().join("bench").join(format!("{bench}.json"));
    std::fs::create_dir_all(path.parent().expect("it has a parent")).expect("the target directory can be written");
    let table: Vec<String> = rows.iter().map(ToString::to_string).collect();
    let json = serde_json::json!({ "rows": rows, "table": table });
    std::fs::write(&path, format!("{json:#}\n")).expect("the target directory can be written");
    println!("saved as {}", path.display());
}

fn target() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is in the workspace");
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from)
}
