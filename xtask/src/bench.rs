//! `cargo xtask bench`: the benches that measure the budgets. All are built first, optimised. Each then has a time limit,
//! ten minutes together, and prints its own table. The table of all budgets comes last, and is saved as
//! `target/bench/budgets.json`.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use crate::process::{cargo, output, program, root, run_within};

/// A bench: its package, its name, which is that of its table, and how many seconds it may take.
struct Bench(&'static str, &'static str, u64);

const BENCHES: &[Bench] = &[
    Bench("clientmgr-kube", "manager", 100),
    Bench("clientmgr-kube", "memory", 45),
    Bench("clientmgr-kube", "fleet", 180),
    Bench("clientmgr-kube", "scale", 75),
    Bench("clientmgr-runtime", "hub", 100),
    Bench("clientmgr-runtime", "requeue", 30),
    Bench("kube-testserver", "apiserver", 50),
    Bench("kube-testserver", "apiserver_memory", 15),
];

/// How the verdict on a budget begins that does not hold.
const MISSED: &str = "does NOT hold";

/// The features that some bench needs.
const FEATURES: &str = "clientmgr-kube/simulated";

/// Runs the benches that the arguments name; all where there are none.
pub(crate) fn run(arguments: &[OsString]) -> Result<()> {
    let names = BENCHES.iter().map(|Bench(_, name, _)| *name);
    if let Some(unknown) = arguments.iter().find(|argument| !names.clone().any(|name| *argument == name)) {
        let names: Vec<_> = names.collect();
        bail!("no such bench: {}; there are {}", unknown.display(), names.join(", "));
    }
    let wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == name);
    let benches: Vec<_> = BENCHES.iter().filter(|Bench(_, name, _)| wanted(name)).collect();
    let executables = build(&benches)?;
    let directory = target().join("bench");
    let begun = Instant::now();
    let mut tables = Vec::new();
    for Bench(_, name, seconds) in benches {
        let path = directory.join(format!("{name}.json"));
        // What an earlier run has left is not what this one measures.
        let _ = std::fs::remove_file(&path);
        let executable = executables.get(*name).with_context(|| format!("bench {name} was not built"))?;
        let table = match run_within(program(executable).arg("--bench"), Duration::from_secs(*seconds))? {
            Some(status) if status.success() => read(&path)?,
            Some(status) => unfinished(name, &format!("{MISSED}: it ended with {status}")),
            None => unfinished(name, &format!("{MISSED}: it did not end within {seconds} s")),
        };
        tables.push((*name, table));
    }
    summarize(&directory, &tables, begun.elapsed())
}

/// Builds the benches in one go, so that their dependencies are built once, and returns their executables by their names.
fn build(benches: &[&Bench]) -> Result<HashMap<String, PathBuf>> {
    let mut command = cargo();
    command.args(["bench", "--no-run", "--message-format", "json-render-diagnostics", "--features", FEATURES]);
    for Bench(package, ..) in BENCHES {
        command.args(["--package", package]);
    }
    for Bench(_, name, _) in benches {
        command.args(["--bench", name]);
    }
    let messages = output(&mut command)?;
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let executables = messages.filter_map(|message| {
        let is_bench = message["target"]["kind"][0] == "bench";
        let (name, path) = (message["target"]["name"].as_str()?, message["executable"].as_str()?);
        is_bench.then(|| (name.to_owned(), PathBuf::from(path)))
    });
    Ok(executables.collect())
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}

/// The table of a bench that did not come to its end.
fn unfinished(name: &str, verdict: &str) -> Value {
    json!({ "table": [format!("{name}: {verdict}")], "rows": [{ "what": name, "verdict": verdict }] })
}

/// Prints the lines of all budgets, saves them in one file, and fails where a budget does not hold.
#[expect(clippy::print_stdout, reason = "a command line tool writes to its terminal")]
fn summarize(directory: &Path, tables: &[(&str, Value)], took: Duration) -> Result<()> {
    let (mut all, mut missed) = (Map::new(), 0);
    println!("\n{:<62} {:>10} {:>10} {:<9} {:>8} {:>8}", "budgets", "figure", "baseline", "", "ratio", "budget");
    for (name, table) in tables {
        for line in table["table"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            println!("{line}");
        }
        let rows = table["rows"].as_array().into_iter().flatten();
        missed += rows.filter(|row| row["verdict"].as_str().is_some_and(|it| it.starts_with(MISSED))).count();
        all.insert((*name).to_owned(), table["rows"].clone());
    }
    let processors = thread::available_parallelism().map_or(1, usize::from);
    println!("measured in {} s on {processors} processors", took.as_secs());
    let path = directory.join("budgets.json");
    let json = json!({ "processors": processors, "seconds": took.as_secs(), "benches": all });
    std::fs::write(&path, format!("{json:#}\n")).with_context(|| format!("cannot write {}", path.display()))?;
    println!("saved as {}", path.display());
    ensure!(missed == 0, "{missed} budgets do not hold");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{BENCHES, Bench};

    #[test]
    fn all_benches_end_within_ten_minutes() {
        assert!(BENCHES.iter().map(|Bench(.., seconds)| seconds).sum::<u64>() <= 600);
    }
}
