//! Authorization of requests without credentials, and the real server's words for a request that is forbidden.
//!
//! A user who is authenticated may do everything that a test has not forbidden.

use crate::{
    access::credential::User,
    wire::{
        route::{RequestInfo, Verb, full_resource},
        status::Status,
    },
};

/// How the server treats requests without a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Anonymous {
    /// Their user is `system:anonymous`, which may read health and version and gets 403 for the rest: the default of
    /// kube-apiserver.
    #[default]
    Limited,
    /// They get 401 for all paths but health and version, as on a cluster that allows anonymous requests for these only.
    Refused,
}

/// The outcome of authorization.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Allowed,
    Refused(Status),
}

/// Whether every user may read this path: what the default role `system:public-info-viewer` grants.
fn is_public(info: &RequestInfo) -> bool {
    let public = ["/healthz", "/livez", "/readyz", "/version", "/version/"];
    !info.is_resource && info.verb == Verb::Get && public.contains(&info.path.as_str())
}

/// Whether this request needs no credentials.
pub(crate) fn decide_anonymous(policy: Anonymous, info: &RequestInfo) -> Verdict {
    match policy {
        _ if is_public(info) => Verdict::Allowed,
        Anonymous::Limited => Verdict::Refused(forbidden(info, User::anonymous().name())),
        Anonymous::Refused => Verdict::Refused(Status::unauthorized()),
    }
}

/// The 403 of a real server's authorizer.
pub(crate) fn forbidden(info: &RequestInfo, user: &str) -> Status {
    forbidden_as(info, user, info.verb.as_str())
}

/// The same for another verb than the request's own.
pub(crate) fn forbidden_as(info: &RequestInfo, user: &str, verb: &str) -> Status {
    let name = info.name.as_deref().unwrap_or_default();
    Status::forbidden(&info.group, &info.resource, name, &why(info, user, verb))
}

fn why(info: &RequestInfo, user: &str, verb: &str) -> String {
    if !info.is_resource {
        return format!("User {user:?} cannot {verb} path {:?}", info.path);
    }
    let scope = match info.namespace.as_deref() {
        Some(namespace) => format!("in the namespace {namespace:?}"),
        None => "at the cluster scope".to_owned(),
    };
    let (resource, group) = (full_resource(info), &info.group);
    format!("User {user:?} cannot {verb} resource {resource:?} in API group {group:?} {scope}")
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn info(method: &Method, target: &str) -> RequestInfo {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        RequestInfo::parse(method, path, Some(query))
    }

    #[test]
    fn the_message_of_a_denial_is_the_real_ones() {
        for (method, target, message) in [
            (
                Method::GET,
                "/api/v1/namespaces/default/configmaps",
                r#"configmaps is forbidden: User "x" cannot list resource "configmaps" in API group "" in the namespace "default""#,
            ),
            (
                Method::PUT,
                "/apis/apps/v1/namespaces/a/deployments/web/status",
                r#"deployments.apps "web" is forbidden: User "x" cannot update resource "deployments/status" in API group "apps" in the namespace "a""#,
            ),
            (
                Method::GET,
                "/api/v1/nodes?watch=true",
                r#"nodes is forbidden: User "x" cannot watch resource "nodes" in API group "" at the cluster scope"#,
            ),
            (Method::GET, "/metrics", r#"forbidden: User "x" cannot get path "/metrics""#),
        ] {
            let status = forbidden(&info(&method, target), "x");
            assert_eq!((status.code(), status.reason(), status.message()), (403, "Forbidden", message));
        }
    }

    #[test]
    fn without_credentials_only_health_and_version_are_open() {
        for (method, target, open) in [
            (Method::GET, "/healthz", true),
            (Method::GET, "/livez", true),
            (Method::GET, "/readyz?verbose", true),
            (Method::GET, "/version", true),
            (Method::GET, "/readyz/ping", false),
            (Method::POST, "/version", false),
            (Method::GET, "/api", false),
            (Method::GET, "/apis/version", false),
            (Method::GET, "/api/v1/namespaces", false),
        ] {
            let info = info(&method, target);
            for (policy, code) in [(Anonymous::Limited, 403), (Anonymous::Refused, 401)] {
                let found = match decide_anonymous(policy, &info) {
                    Verdict::Allowed => None,
                    Verdict::Refused(status) => Some(status.code()),
                };
                assert_eq!(found, (!open).then_some(code), "{method} {target} {policy:?}");
            }
        }
    }
}
