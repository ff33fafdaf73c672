//! What the workspace consists of, as `cargo metadata` tells it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::process::{Failure, cargo};

/// The arguments by which cargo takes the whole workspace: all members, and what their tests need beyond the default
/// features. Every habit uses the same, so that they share what was built.
///
/// Not `--all-features`: `openssl-tls` needs a system library and `aws-lc-rs` a long C build, and both would stand in
/// one binary with ring. The habit `features` checks them, alone and together.
pub(crate) const WHOLE_WORKSPACE: &[&str] = &[
    "--workspace",
    "--features",
    "clientmgr-fake/apiserver,clientmgr-fake/ring,clientmgr-kube/gzip,clientmgr-kube/proxy,clientmgr-kube/runtime,\
     clientmgr-kube/schemars,clientmgr-kube/simulated",
];

/// A member of the workspace.
#[derive(Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) rust_version: Option<String>,
    /// Whether anybody outside can depend on it.
    pub(crate) published: bool,
    /// The features and what each turns on.
    pub(crate) features: BTreeMap<String, Vec<String>>,
    /// What the library depends on, and whether that is optional. Neither build nor test dependencies.
    pub(crate) dependencies: BTreeMap<String, bool>,
}

/// The members of the workspace.
pub(crate) fn packages() -> Result<Vec<Package>, Failure> {
    let text = cargo().args(["metadata", "--format-version", "1", "--no-deps"]).output()?;
    parse(&text).ok_or_else(|| Failure::Invalid("cargo metadata tells no packages".to_owned()))
}

fn parse(metadata: &str) -> Option<Vec<Package>> {
    let metadata: Value = serde_json::from_str(metadata).ok()?;
    metadata["packages"].as_array()?.iter().map(parse_package).collect()
}

fn parse_package(package: &Value) -> Option<Package> {
    let features = package["features"].as_object()?.iter().map(|(name, turns_on)| {
        let turns_on = turns_on.as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Some((name.clone(), turns_on))
    });
    let normal = package["dependencies"].as_array()?.iter().filter(|dependency| dependency["kind"].is_null());
    let dependencies =
        normal.map(|dependency| Some((dependency["name"].as_str()?.to_owned(), dependency["optional"].as_bool()?)));
    Some(Package {
        name: package["name"].as_str()?.to_owned(),
        rust_version: package["rust_version"].as_str().map(str::to_owned),
        published: package["publish"].as_array().is_none_or(|registries| !registries.is_empty()),
        features: features.collect::<Option<_>>()?,
        dependencies: dependencies.collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::{packages, parse};

    #[test]
    fn a_package_tells_its_features_and_the_dependencies_of_its_library() {
        let metadata = r#"{"packages": [{
            "name": "one", "rust_version": "1.89", "publish": [],
            "features": {"tls": ["dep:ring"]},
            "dependencies": [
                {"name": "ring", "kind": null, "optional": true},
                {"name": "proptest", "kind": "dev", "optional": false}
            ]
        }]}"#;
        let [one] = &parse(metadata).unwrap()[..] else { panic!("one package") };
        assert_eq!((one.name.as_str(), one.rust_version.as_deref()), ("one", Some("1.89")));
        assert!(!one.published);
        assert_eq!(one.features["tls"], ["dep:ring"]);
        assert_eq!(one.dependencies.iter().collect::<Vec<_>>(), [(&"ring".to_owned(), &true)]);
    }

    #[test]
    fn something_else_than_metadata_is_refused() {
        assert!(parse("{}").is_none());
        assert!(parse("error: no manifest").is_none());
    }

    #[test]
    fn this_workspace_is_read() {
        let packages = packages().unwrap();
        let xtask = packages.iter().find(|package| package.name == "xtask").unwrap();
        assert!(!xtask.published);
    }
}
