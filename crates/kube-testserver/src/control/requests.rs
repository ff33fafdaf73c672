//! The matcher of requests that faults, denials and the log share.

use crate::wire::route::{RequestInfo, full_resource};

/// A set of requests, by who makes them and what they ask for. Every condition given must hold.
///
/// Verbs and resources are spelled as in RBAC (`kube::discovery::verbs` has the verbs as constants): a
/// resource is a plural such as `configmaps`, with a subresource `pods/status`, and `*` is any.
///
/// ```
/// use kube_testserver::Requests;
///
/// let everything = Requests::any();
/// let watches_of_alice = Requests::to("configmaps").verb("watch").user("alice");
/// let discovery = Requests::under("/apis");
/// # _ = (everything, watches_of_alice, discovery);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a matcher does nothing until it is given to the server"]
pub struct Requests {
    user: Option<String>,
    verb: Option<String>,
    path: Option<String>,
    group: Option<String>,
    resource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
}

impl Requests {
    /// Every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests for a resource: `configmaps`, `pods/status`, `*`.
    pub fn to(resource: impl Into<String>) -> Self {
        Self::any().resource(resource)
    }

    /// Requests whose path starts with `path`.
    pub fn under(path: impl Into<String>) -> Self {
        Self::any().path(path)
    }

    /// Only those made as `user`. `system:anonymous` are those without credentials; a request whose credential
    /// is refused has no user.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Only those with this verb: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`,
    /// `deletecollection`, or `*`.
    pub fn verb(mut self, verb: impl Into<String>) -> Self {
        self.verb = Some(verb.into());
        self
    }

    /// Only those whose path (decoded, without the query) starts with this.
    pub fn path(mut self, prefix: impl Into<String>) -> Self {
        self.path = Some(prefix.into());
        self
    }

    /// Only those for a resource of this API group; the core group is the empty text.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Only those for this resource: `configmaps` (and not its subresources), `pods/status`, `*` for all.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    /// Only those in this namespace.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Only those for the object of this name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether a request is one of these.
    pub(crate) fn matches(&self, info: &RequestInfo, user: Option<&str>) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| wanted == "*" || found == Some(wanted))
        };
        let of_resource = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| info.is_resource && (wanted == "*" || wanted == found))
        };
        is(&self.user, user)
            && is(&self.verb, Some(info.verb.as_str()))
            && self.path.as_deref().is_none_or(|prefix| info.path.starts_with(prefix))
            && of_resource(&self.group, &info.group)
            && of_resource(&self.resource, &full_resource(info))
            && is(&self.namespace, info.namespace.as_deref())
            && is(&self.name, info.name.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn each_condition_is_met_or_not_by_itself() {
        let watch = "/api/v1/namespaces/a/configmaps?watch=1";
        let object = "/apis/apps/v1/namespaces/a/deployments/web/status";
        let any = Requests::any;
        for (requests, target, expected) in [
            (any(), watch, true),
            (any(), "/version", true),
            (any().user("alice"), watch, true),
            (any().user("bob"), watch, false),
            (any().user("*"), watch, true),
            (any().verb("watch"), watch, true),
            (any().verb("list"), watch, false),
            (any().verb("get"), "/version", true),
            (any().path("/api/v1"), watch, true),
            (any().path("/apis"), watch, false),
            (any().group(""), watch, true),
            (any().group(""), "/version", false),
            (any().group("apps"), object, true),
            (Requests::to("configmaps"), watch, true),
            (Requests::to("secrets"), watch, false),
            (Requests::to("deployments"), object, false),
            (Requests::to("deployments/status"), object, true),
            (Requests::to("*"), object, true),
            (Requests::to("*"), "/version", false),
            (any().namespace("a"), watch, true),
            (any().namespace("b"), watch, false),
            (any().name("web"), object, true),
            (any().name("web"), watch, false),
            (Requests::to("configmaps").verb("watch").user("bob"), watch, false),
        ] {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let info = RequestInfo::parse(&Method::GET, path, Some(query));
            assert_eq!(requests.matches(&info, Some("alice")), expected, "{requests:?} {target}");
        }
    }

    #[test]
    fn a_refused_credential_is_nobody_in_particular() {
        let info = RequestInfo::parse(&Method::GET, "/version", None);
        assert!(Requests::any().matches(&info, None));
        assert!(Requests::any().user("*").matches(&info, None));
        assert!(!Requests::any().user("alice").matches(&info, None));
    }
}
