//! What both benches of the API server share: an object, and where the results go.
#![expect(unreachable_pub, reason = "shared by two bench binaries")]

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;
use serde_json::Value;

/// An object of the usual size: ten values, a few labels.
pub fn map(name: &str) -> ConfigMap {
    let pairs = |count: usize, value: &str| -> BTreeMap<String, String> {
        (0..count).map(|index| (format!("key-{index}"), value.to_owned())).collect()
    };
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.to_owned()), labels: Some(pairs(3, "label")), ..ObjectMeta::default() },
        data: Some(pairs(10, "a value of some length, as there are many")),
        ..ConfigMap::default()
    }
}

/// Tells whoever runs the bench.
#[expect(clippy::print_stdout, reason = "a bench reports to whoever runs it")]
pub fn report(line: &str) {
    println!("{line}");
}

/// Saves results under `target/bench`.
pub fn save(name: &str, results: &Value) -> io::Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is in the workspace");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    let directory = target.join("bench");
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join(name), format!("{results:#}\n"))?;
    report(&format!("saved as {}", directory.join(name).display()));
    Ok(())
}
