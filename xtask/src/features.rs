//! `cargo xtask features`: every library with none of its features, its defaults, each one alone and all together.
//!
//! Which sets there are and how cargo is asked for them is decided by pure functions over `cargo metadata`. Only the
//! libraries are checked: test dependencies would turn features on that the set leaves out.

use std::collections::BTreeSet;
use std::ffi::OsString;

use crate::process::{Failure, Program, cargo};
use crate::workspace::{self, Package};

/// Builds only where the system has OpenSSL's headers.
const NEEDS_OPENSSL: &str = "openssl-tls";
/// kube refuses to build these without TLS, so alone they are checked on top of the usual one.
const NEED_TLS: [&str; 2] = ["oauth", "oidc"];
const USUAL_TLS: [&str; 2] = ["ring", "rustls-tls"];
/// Makes a missing OpenSSL an error. CI asks for it.
const WITH_OPENSSL: &str = "--with-openssl";

pub(crate) fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let with_openssl = match arguments {
        [] => openssl_is_installed(),
        [only] if only == WITH_OPENSSL => true,
        _ => return Err(Failure::Invalid(format!("takes only {WITH_OPENSSL}"))),
    };
    let packages = workspace::packages()?;
    for package in packages.iter().filter(|package| package.published) {
        for set in sets(package, with_openssl) {
            cargo().args(["clippy"]).args(arguments_of(package, &set)).args(["--", "--deny", "warnings"]).run()?;
        }
    }
    if !with_openssl {
        println!("left out: {NEEDS_OPENSSL}, because this machine has no OpenSSL to build against");
    }
    Ok(())
}

fn openssl_is_installed() -> bool {
    std::env::var_os("OPENSSL_DIR").is_some() || Program::new("pkg-config").args(["--exists", "openssl"]).succeeds()
}

/// The sets of features worth a check: none, the defaults, each alone, all.
fn sets(package: &Package, with_openssl: bool) -> Vec<BTreeSet<&str>> {
    let all: BTreeSet<&str> = package
        .features
        .keys()
        .map(String::as_str)
        .filter(|feature| *feature != "default" && (with_openssl || *feature != NEEDS_OPENSSL))
        .collect();
    let defaults = package.features.get("default").into_iter().flatten().map(String::as_str).collect();
    let alone = all.iter().map(|feature| {
        let below = if NEED_TLS.contains(feature) { &USUAL_TLS[..] } else { &[] };
        below.iter().copied().chain([*feature]).collect()
    });

    let mut sets = Vec::new();
    for set in [BTreeSet::new(), defaults].into_iter().chain(alone).chain([all.clone()]) {
        if !sets.contains(&set) {
            sets.push(set);
        }
    }
    sets
}

fn arguments_of(package: &Package, set: &BTreeSet<&str>) -> Vec<String> {
    let mut features: Vec<&str> = set.iter().copied().collect();
    if uses(package, set, "k8s-openapi") {
        // It does not build without a version of Kubernetes, and a library must leave the choice to its users.
        features.push("k8s-openapi/latest");
    }
    let mut arguments =
        vec!["--package".to_owned(), package.name.clone(), "--lib".to_owned(), "--no-default-features".to_owned()];
    if !features.is_empty() {
        arguments.extend(["--features".to_owned(), features.join(",")]);
    }
    arguments
}

/// Whether the library depends on `dependency` with this set of features.
fn uses(package: &Package, set: &BTreeSet<&str>, dependency: &str) -> bool {
    match package.dependencies.get(dependency) {
        None => false,
        Some(false) => true,
        Some(true) => {
            let wanted = format!("dep:{dependency}");
            let mut seen = BTreeSet::new();
            let mut open: Vec<&str> = set.iter().copied().collect();
            while let Some(feature) = open.pop() {
                if feature == wanted {
                    return true;
                }
                if seen.insert(feature) {
                    open.extend(package.features.get(feature).into_iter().flatten().map(String::as_str));
                }
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Package, arguments_of, sets};

    fn package(features: &[(&str, &[&str])], dependencies: &[(&str, bool)]) -> Package {
        Package {
            name: "lib".to_owned(),
            features: features
                .iter()
                .map(|(name, on)| ((*name).to_owned(), on.iter().map(|on| (*on).to_owned()).collect()))
                .collect(),
            dependencies: dependencies.iter().map(|(name, optional)| ((*name).to_owned(), *optional)).collect(),
            ..Package::default()
        }
    }

    #[test]
    fn a_library_without_features_is_checked_once() {
        assert_eq!(sets(&package(&[], &[]), true), [BTreeSet::new()]);
    }

    #[test]
    fn none_the_defaults_each_alone_and_all_are_checked_and_nothing_twice() {
        let package = package(&[("default", &["a", "b"]), ("a", &[]), ("b", &[]), ("c", &[])], &[]);
        let expected: [&[&str]; 6] = [&[], &["a", "b"], &["a"], &["b"], &["c"], &["a", "b", "c"]];
        assert_eq!(sets(&package, true), expected.map(|set| set.iter().copied().collect::<BTreeSet<_>>()));
    }

    #[test]
    fn what_needs_tls_is_never_checked_without() {
        let package = package(&[("oauth", &[]), ("ring", &[]), ("rustls-tls", &[])], &[]);
        for set in sets(&package, true) {
            assert!(!set.contains("oauth") || set.contains("rustls-tls"), "{set:?}");
        }
        assert!(sets(&package, true).iter().any(|set| set.contains("oauth")));
    }

    #[test]
    fn without_openssl_its_feature_is_left_out_everywhere() {
        let package = package(&[("a", &[]), ("openssl-tls", &[])], &[]);
        assert!(sets(&package, true).iter().any(|set| set.contains("openssl-tls")));
        assert!(!sets(&package, false).iter().any(|set| set.contains("openssl-tls")));
    }

    #[test]
    fn a_version_of_kubernetes_is_chosen_where_the_set_uses_kubernetes() {
        let features: &[(&str, &[&str])] = &[("server", &["types"]), ("types", &["dep:k8s-openapi"]), ("other", &[])];
        let chooses = |package: &Package, set: &[&str]| {
            arguments_of(package, &set.iter().copied().collect()).join(" ").contains("k8s-openapi/latest")
        };
        assert!(chooses(&package(features, &[("k8s-openapi", true)]), &["server"]));
        assert!(!chooses(&package(features, &[("k8s-openapi", true)]), &["other"]));
        assert!(chooses(&package(&[], &[("k8s-openapi", false)]), &[]));
        assert!(!chooses(&package(&[], &[]), &[]));
    }
}
