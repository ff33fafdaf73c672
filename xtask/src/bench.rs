//! `cargo xtask bench`: the benches that measure the budgets. Each is built optimised and prints its own table. The table
//! of all budgets comes last, and is saved as `target/bench/budgets.json`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::process::{Failure, cargo, root, run};

/// The arguments that choose a bench, and the name of the table that it saves for its budgets.
const BENCHES: &[(&[&str], Option<&str>)] = &[
    (&["--package", "clientmgr-kube", "--bench", "manager"], Some("manager")),
    (&["--package", "clientmgr-kube", "--bench", "memory"], Some("memory")),
    (&["--package", "clientmgr-kube", "--bench", "fleet"], Some("fleet")),
    (&["--package", "clientmgr-kube", "--features", "clientmgr-kube/simulated", "--bench", "scale"], Some("scale")),
    (&["--package", "clientmgr-runtime", "--bench", "requeue"], None),
    (&["--package", "kube-testserver", "--bench", "apiserver"], None),
    (&["--package", "kube-testserver", "--bench", "apiserver_memory"], None),
];

pub(crate) fn bench(arguments: &[OsString]) -> Result<(), Failure> {
    for (bench, _) in BENCHES {
        run(cargo().arg("bench").args(*bench).arg("--").args(arguments))?;
    }
    summarize(&target().join("bench"))
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Prints the lines of all budgets, and saves them in one file.
#[expect(clippy::print_stdout, reason = "a command line tool writes to its terminal")]
fn summarize(directory: &Path) -> Result<(), Failure> {
    let mut all = Map::new();
    println!("\nbudgets");
    for name in BENCHES.iter().filter_map(|(_, table)| *table) {
        let path = directory.join(format!("{name}.json"));
        let text = std::fs::read_to_string(&path).map_err(|error| unusable(&path, &error))?;
        let table: Value = serde_json::from_str(&text).map_err(|error| unusable(&path, &error))?;
        for line in table["table"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            println!("{line}");
        }
        all.insert(name.to_owned(), table["rows"].clone());
    }
    let path = directory.join("budgets.json");
    std::fs::write(&path, format!("{:#}\n", Value::Object(all))).map_err(|error| unusable(&path, &error))?;
    println!("saved as {}", path.display());
    Ok(())
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::Usage(format!("{}: {error}", path.display()))
}
