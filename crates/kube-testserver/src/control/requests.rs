//! The matcher of requests that faults, denials, waiting and the log share.

use std::fmt;

use kube::Resource;

use crate::{
    access::credential::Fingerprint,
    control::record::{Marker, RequestRecord},
    wire::route::{RequestInfo, full_resource},
};

/// A matcher of requests, by what they ask for and by their user. All of its conditions must hold.
///
/// The same matcher says which requests a [`Fault`](crate::Fault) hits, which are
/// [forbidden](crate::TestServer::forbid_requests), and which of the log are
/// [waited for](crate::TestServer::wait_for) or [returned](crate::TestServer::requests_matching). Conditions on the answer
/// ([`status`](Self::status), [`ended`](Self::ended), …) make it a `Requests<LogFilter>`, which only the log takes, since a
/// fault comes before the answer.
///
/// Verbs and resources are spelled as in RBAC: a resource is a plural such as `configmaps`, with a subresource
/// `pods/status`, and `*` is any. [`of`] names the resource of a type.
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube_testserver::{Requests, of};
///
/// let everything = Requests::any();
/// let watches_of_alice = Requests::watch("configmaps").user("alice");
/// let patches = Requests::patch(of::<ConfigMap>());
/// let patched = Requests::patch(of::<ConfigMap>()).name("greeting").status(200);
/// let discovery = Requests::under("/apis");
/// # _ = (everything, watches_of_alice, patches, patched, discovery);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a matcher does nothing until it is given to the server"]
pub struct Requests<A = ()> {
    user: Option<String>,
    verb: Option<String>,
    path: Option<String>,
    group: Option<String>,
    resource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    logged: A,
}

/// Conditions on the answer to a request: see [`Requests`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogFilter {
    since: Marker,
    fingerprint: Option<Fingerprint>,
    status: Option<u16>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Arrived,
    Answered,
    Ended,
}

impl From<()> for LogFilter {
    fn from((): ()) -> Self {
        Self::default()
    }
}

/// What is matched, in words: `patch configmaps named greeting with status 200`.
impl fmt::Display for Requests<LogFilter> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb.as_deref().unwrap_or("any verb"))?;
        let stage = match self.logged.stage {
            Stage::Arrived => None,
            Stage::Answered => Some("answered"),
            Stage::Ended => Some("ended"),
        };
        let group = self.group.as_deref().filter(|group| !group.is_empty());
        for (before, value) in [
            ("", self.resource.as_deref()),
            ("of ", group),
            ("under ", self.path.as_deref()),
            ("in ", self.namespace.as_deref()),
            ("named ", self.name.as_deref()),
            ("by ", self.user.as_deref()),
            ("with status ", self.logged.status.map(|status| status.to_string()).as_deref()),
            ("", self.logged.fingerprint.map(|_| "with the given credential")),
            ("", stage),
        ] {
            if let Some(value) = value {
                write!(f, " {before}{value}")?;
            }
        }
        Ok(())
    }
}

/// A resource in a matcher: a plural in any group, or [`of`] a type.
///
/// ```
/// use k8s_openapi::api::apps::v1::Deployment;
/// use kube_testserver::{Requests, of};
///
/// let both = [Requests::patch("deployments/status"), Requests::patch(of::<Deployment>().subresource("status"))];
/// # _ = both;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceName {
    /// Any if there is none.
    group: Option<String>,
    plural: String,
}

/// Returns the resource of a type, in its group and in any version. Without its subresources:
/// [`subresource`](ResourceName::subresource) names one.
#[must_use]
pub fn of<K: Resource<DynamicType = ()>>() -> ResourceName {
    ResourceName { group: Some(K::group(&()).into_owned()), plural: K::plural(&()).into_owned() }
}

impl ResourceName {
    /// Returns its subresource of this name.
    #[must_use]
    pub fn subresource(mut self, name: &str) -> Self {
        self.plural = format!("{}/{name}", self.plural);
        self
    }
}

impl<T: Into<String>> From<T> for ResourceName {
    fn from(plural: T) -> Self {
        Self { group: None, plural: plural.into() }
    }
}

macro_rules! by_verb {
    ($($method:ident $verb:literal),*) => { $(
        #[doc = concat!("Requests with the verb `", $verb, "` for a resource.")]
        pub fn $method(resource: impl Into<ResourceName>) -> Self {
            Self::to(resource).verb($verb)
        }
    )* };
}

impl Requests {
    /// Matches every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Matches requests for a resource: `configmaps`, `pods/status`, `*`.
    pub fn to(resource: impl Into<ResourceName>) -> Self {
        Self::any().resource(resource)
    }

    /// Matches requests whose path starts with `path`.
    pub fn under(path: impl Into<String>) -> Self {
        Self::any().path(path)
    }

    by_verb!(
        get "get", list "list", watch "watch", create "create", update "update", patch "patch", delete "delete",
        delete_collection "deletecollection"
    );
}

impl<A> Requests<A> {
    /// Only requests of `user`. The user of requests without credentials is `system:anonymous`; a request whose credential is
    /// refused has no user.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Only requests with this verb: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or
    /// `*`.
    pub fn verb(mut self, verb: impl Into<String>) -> Self {
        self.verb = Some(verb.into());
        self
    }

    /// Only requests whose path starts with this, decoded and without the query.
    pub fn path(mut self, prefix: impl Into<String>) -> Self {
        self.path = Some(prefix.into());
        self
    }

    /// Only requests for a resource of this API group. The name of the core group is empty.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Only requests for this resource: `configmaps` (without its subresources), `pods/status`, `*` for all.
    pub fn resource(mut self, resource: impl Into<ResourceName>) -> Self {
        let ResourceName { group, plural } = resource.into();
        self.group = group.or(self.group);
        self.resource = Some(plural);
        self
    }

    /// Only requests in this namespace.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Only requests for objects with this name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether a request is one of these, as far as it is known when it arrives.
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

    fn logged<B>(self, change: impl FnOnce(A) -> B) -> Requests<B> {
        let Self { user, verb, path, group, resource, namespace, name, logged } = self;
        Requests { user, verb, path, group, resource, namespace, name, logged: change(logged) }
    }
}

/// # Conditions for the log
impl<A: Into<LogFilter>> Requests<A> {
    /// Only requests that arrived after the marker was taken.
    pub fn since(self, marker: Marker) -> Requests<LogFilter> {
        self.logged(|logged| LogFilter { since: marker, ..logged.into() })
    }

    /// Only requests with this credential.
    pub fn with(self, fingerprint: Fingerprint) -> Requests<LogFilter> {
        self.logged(|logged| LogFilter { fingerprint: Some(fingerprint), ..logged.into() })
    }

    /// Only requests that were answered with this status code.
    pub fn status(self, code: u16) -> Requests<LogFilter> {
        self.logged(|logged| LogFilter { status: Some(code), ..logged.into() })
    }

    /// Only requests that have been answered. A watch is answered once it is open.
    pub fn answered(self) -> Requests<LogFilter> {
        self.logged(|logged| LogFilter { stage: Stage::Answered, ..logged.into() })
    }

    /// Only requests that have ended.
    pub fn ended(self) -> Requests<LogFilter> {
        self.logged(|logged| LogFilter { stage: Stage::Ended, ..logged.into() })
    }
}

impl From<Requests> for Requests<LogFilter> {
    fn from(requests: Requests) -> Self {
        requests.logged(LogFilter::from)
    }
}

impl Requests<LogFilter> {
    /// Whether a record of the log is one of these.
    pub(crate) fn matches_record(&self, record: &RequestRecord) -> bool {
        let LogFilter { since, fingerprint, status, stage } = self.logged;
        record.sequence >= since.0
            && fingerprint.is_none_or(|wanted| record.fingerprint == Some(wanted))
            && status.is_none_or(|wanted| record.status == Some(wanted))
            && match stage {
                Stage::Arrived => true,
                Stage::Answered => record.status.is_some(),
                Stage::Ended => record.ended.is_some(),
            }
            && self.matches(&record.info, record.user.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};

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
            (Requests::to(of::<ConfigMap>()), watch, true),
            (Requests::to(of::<Deployment>()), object, false),
            (Requests::to(of::<Deployment>().subresource("status")), object, true),
            (Requests::to(of::<Deployment>().subresource("status")).group(""), object, false),
            (Requests::watch("configmaps"), watch, true),
            (Requests::list("configmaps"), watch, false),
            (Requests::to("deployments/status"), object, true),
            (Requests::to("*"), object, true),
            (Requests::to("*"), "/version", false),
            (any().namespace("a"), watch, true),
            (any().namespace("b"), watch, false),
            (any().name("web"), object, true),
            (any().name("web"), watch, false),
            (Requests::watch("configmaps").user("bob"), watch, false),
        ] {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let info = RequestInfo::parse(&Method::GET, path, Some(query));
            assert_eq!(requests.matches(&info, Some("alice")), expected, "{requests:?} {target}");
        }
    }

    #[test]
    fn a_refused_credential_has_no_user() {
        let info = RequestInfo::parse(&Method::GET, "/version", None);
        assert!(Requests::any().matches(&info, None));
        assert!(Requests::any().user("*").matches(&info, None));
        assert!(!Requests::any().user("alice").matches(&info, None));
    }
}
