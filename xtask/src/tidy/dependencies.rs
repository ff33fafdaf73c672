//! Core and fake depend on no Kubernetes, no HTTP and no async runtime, at any depth. cargo-deny's bans
//! cannot say this: they see the features that the whole workspace turns on, and fake's `apiserver` is one of them.

use super::source::Violation;

/// The crates, with their default features.
pub(super) const CRATES: [&str; 2] = ["clientmgr-core", "clientmgr-fake"];

/// Crates, with all whose name starts with theirs and a dash: `kube` and `kube-client`.
const FORBIDDEN: &str =
    "async-global-executor async-io async-std h2 http hyper k8s-openapi kube mio reqwest rustls smol tokio tower";

/// Prints each package below a package, one a line. The platform excludes the dependencies of special builds, such as
/// shuttle.
pub(super) const TREE: &str = "tree --edges normal --prefix none --format={p} --target x86_64-unknown-linux-gnu";

pub(super) fn check(package: &str, tree: &str) -> Vec<Violation> {
    let name = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    let is_of =
        |name: &str, family| name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    let names = tree.lines().map(name).filter(|name| FORBIDDEN.split(' ').any(|family| is_of(name, family)));
    let message = |name| format!("drop the dependency on {name}: `cargo tree -p {package} -i {name}` shows its origin");
    names.map(|name| Violation::new(format!("crates/{package}/Cargo.toml"), 1, message(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn kubernetes_http_and_runtimes_are_found_by_their_families() {
        let tree = |name: &str| format!("clientmgr-core v0.1.0 (crates/clientmgr-core)\n{name} v1.0.0 (*)\n");
        for name in ["kube", "kube-client", "k8s-openapi", "hyper-util", "http-body", "tokio", "tokio-util"] {
            assert_eq!(check("clientmgr-core", &tree(name)).len(), 1, "{name}");
        }
        for name in ["kubernetes", "httparse", "towers", "async-lock", "smol_str"] {
            assert!(check("clientmgr-core", &tree(name)).is_empty(), "{name}");
        }
    }
}
