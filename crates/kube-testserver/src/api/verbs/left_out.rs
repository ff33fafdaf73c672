//! What a real server has and this one does not: refused with 501 and not with 404.
//!
//! Limit ranges and resource quotas are not listed: `kubectl describe namespace` reads them, and goes on after a 404 only.

/// Whether it is a resource of a real server.
pub(super) fn is_left_out(group: &str, resource: &str) -> bool {
    match group {
        "" => matches!(
            resource,
            "bindings"
                | "componentstatuses"
                | "endpoints"
                | "persistentvolumeclaims"
                | "persistentvolumes"
                | "podtemplates"
                | "replicationcontrollers"
        ),
        "apps" => matches!(resource, "controllerrevisions" | "daemonsets" | "replicasets" | "statefulsets"),
        "certificates.k8s.io" => resource != "certificatesigningrequests",
        "admissionregistration.k8s.io"
        | "apiregistration.k8s.io"
        | "authorization.k8s.io"
        | "autoscaling"
        | "batch"
        | "discovery.k8s.io"
        | "flowcontrol.apiserver.k8s.io"
        | "networking.k8s.io"
        | "node.k8s.io"
        | "policy"
        | "resource.k8s.io"
        | "scheduling.k8s.io"
        | "storage.k8s.io" => true,
        _ => false,
    }
}

/// The same for what is no resource. The path has no slash at its end.
pub(super) fn is_left_out_path(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    matches!(first, "" | ".well-known" | "debug" | "flagz" | "logs" | "metrics" | "openid" | "statusz")
}
