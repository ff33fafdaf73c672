//! Which way dependencies go: the rules and their fake know no Kubernetes, no HTTP and no async runtime.

use std::collections::BTreeSet;

use super::violation::Violation;

/// What a library must not depend on, at any depth.
pub(super) struct Rule {
    pub(super) package: &'static str,
    why: &'static str,
}

/// Each holds for the default features.
pub(super) const RULES: &[Rule] = &[
    Rule { package: "clientmgr-core", why: "the core knows no Kubernetes, does no I/O and spawns nothing" },
    Rule { package: "clientmgr-fake", why: "a unit test over the fake builds no Kubernetes and no runtime" },
];

/// The platforms that the rules hold on. Naming them leaves the dependencies of special builds (shuttle) out.
const PLATFORMS: [&str; 3] = ["aarch64-apple-darwin", "x86_64-pc-windows-msvc", "x86_64-unknown-linux-gnu"];

const KUBERNETES: [&str; 3] = ["k8s-openapi", "kube", "kubert"];
const HTTP: [&str; 4] = ["h2", "http", "hyper", "reqwest"];
const RUNTIMES: [&str; 10] = [
    "async-executor",
    "async-global-executor",
    "async-io",
    "async-std",
    "glommio",
    "mio",
    "monoio",
    "smol",
    "tokio",
    "tower",
];

/// The arguments of `cargo` that print every package below the rule's package, one a line.
pub(super) fn tree_arguments(rule: &Rule) -> Vec<&'static str> {
    let mut arguments =
        vec!["tree", "--package", rule.package, "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    for platform in PLATFORMS {
        arguments.extend(["--target", platform]);
    }
    arguments
}

/// `tree` is what cargo printed.
pub(super) fn check(rule: &Rule, tree: &str) -> Vec<Violation> {
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let package = rule.package;
    let manifest = format!("crates/{package}/Cargo.toml");
    if !names.contains(package) {
        return vec![Violation::new(manifest, 1, format!("no dependency tree of {package} to check: is it a member?"))];
    }
    let forbidden = names.into_iter().filter(|name| is_forbidden(name));
    let violation = |name| {
        let message = format!(
            "drop the dependency on {name}: {} (`cargo tree --package {package} --edges normal --invert {name}` tells \
             where it comes from)",
            rule.why
        );
        Violation::new(&*manifest, 1, message)
    };
    forbidden.map(violation).collect()
}

/// Whether this is one of the forbidden families: `kube`, and `kube-client` with it.
fn is_forbidden(name: &str) -> bool {
    KUBERNETES
        .iter()
        .chain(&HTTP)
        .chain(&RUNTIMES)
        .any(|family| name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')))
}

#[cfg(test)]
mod tests {
    use super::{RULES, check, is_forbidden};

    const TREE: &str =
        "clientmgr-core v0.1.0 (crates/clientmgr-core)\nasync-lock v3.4.0\ndashmap v6.2.1\nthiserror v2.0.12\n";

    #[test]
    fn a_tree_of_maps_and_locks_is_in_order() {
        assert_eq!(check(&RULES[0], TREE), []);
    }

    #[test]
    fn kubernetes_http_and_runtimes_are_found_with_all_their_kin() {
        for name in
            ["kube", "kube-client", "k8s-openapi", "hyper", "hyper-util", "http-body", "tokio", "tokio-util", "smol"]
        {
            let violations = check(&RULES[0], &format!("{TREE}{name} v1.0.0 (*)\n"));
            let [violation] = &violations[..] else { panic!("{name}: {violations:?}") };
            assert!(violation.message.contains(&format!("dependency on {name}:")), "{violation}");
        }
    }

    #[test]
    fn a_name_that_only_looks_alike_is_no_kin() {
        assert!(!["kubernetes", "httparse", "towers", "async-lock", "smol_str"].into_iter().any(is_forbidden));
    }

    #[test]
    fn a_tree_that_was_not_found_is_not_taken_for_one_in_order() {
        assert_eq!(check(&RULES[0], "").len(), 1);
    }
}
