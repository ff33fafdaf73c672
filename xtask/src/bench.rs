//! `cargo xtask bench`: the benches that measure the budgets. Each is built optimised and prints its own table; at the end
//! comes the table of all, saved as `target/bench/budgets.json`.

use std::ffi::OsString;
use std::path::PathBuf;

use serde_json::Value;

use crate::process::{Failure, cargo, root};

/// The benches: their package, with what its features need, and their name.
const BENCHES: &[(&[&str], &str)] = &[
    (&["clientmgr-kube"], "manager"),
    (&["clientmgr-kube"], "memory"),
    (&["clientmgr-kube"], "fleet"),
    (&["clientmgr-kube", "--features", "clientmgr-kube/simulated"], "scale"),
    (&["kube-testserver"], "apiserver"),
    (&["kube-testserver"], "apiserver_memory"),
];

/// Those whose rows have a budget.
const BUDGETS: &[&str] = &["manager", "memory", "fleet", "scale"];

pub(crate) fn run(arguments: &[OsString]) -> Result<(), Failure> {
    for (package, bench) in BENCHES {
        cargo().args(["bench", "--package"]).args(*package).args(["--bench", bench, "--"]).args(arguments).run()?;
    }
    summarize()
}

/// Prints the lines of all budgets, and saves them in one file.
#[expect(clippy::print_stdout, reason = "it reports to its user")]
fn summarize() -> Result<(), Failure> {
    let directory =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from).join("bench");
    let mut all = serde_json::Map::new();
    println!("\nbudgets");
    for bench in BUDGETS {
        let path = directory.join(format!("{bench}.json"));
        let unreadable = |error: &dyn std::fmt::Display| Failure::Invalid(format!("{}: {error}", path.display()));
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&error))?;
        let table: Value = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
        for line in table["table"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            println!("{line}");
        }
        all.insert((*bench).to_owned(), table["rows"].clone());
    }
    let path = directory.join("budgets.json");
    std::fs::write(&path, format!("{:#}\n", Value::Object(all)))
        .map_err(|error| Failure::Invalid(format!("{}: {error}", path.display())))?;
    println!("saved as {}", path.display());
    Ok(())
}
