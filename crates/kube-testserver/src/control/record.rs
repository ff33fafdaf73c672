//! A record of one request in the log.

use std::{fmt, sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{access::credential::Fingerprint, wire::route::RequestInfo};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The whole answer was sent. For a watch: its `timeoutSeconds` have passed.
    Complete,
    /// A watch could not continue from its resource version: the client got a 410.
    Expired,
    /// The client closed the connection or dropped the request.
    ClientGone,
    /// The server cut the connection: it was stopped or replaced, or the test cut it.
    ServerCut,
    /// The test ended the watch.
    EndedOnDemand,
    /// An injected fault ended it.
    Fault,
}

/// How and when a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// The server's time of day.
    pub at: Timestamp,
    /// The time since the server was made, on tokio's clock, which tests can pause.
    pub after: Duration,
    /// Why it ended.
    pub reason: EndReason,
}

/// A request in the log.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RequestRecord {
    /// The number of requests before it, since the server was made.
    pub sequence: u64,
    /// When its head arrived, by the server's time of day.
    pub time: Timestamp,
    /// When its head arrived, since the server was made, on tokio's clock, which tests can pause.
    pub after: Duration,
    /// Its connection. Over HTTP/2 many requests share one. Each call of a service is a connection of its own.
    pub connection: u64,
    /// The UID of the cluster that answered.
    pub cluster_uid: Arc<str>,
    /// The user: `system:anonymous` without credentials, `None` if the credential was refused. With impersonation, the user
    /// that impersonates.
    pub user: Option<String>,
    /// The fingerprint of the credential, if there is one.
    pub fingerprint: Option<Fingerprint>,
    /// The HTTP version, `HTTP/1.1` or `HTTP/2.0`.
    pub http_version: http::Version,
    /// The HTTP method.
    pub method: http::Method,
    /// The query as it was sent, without the question mark.
    pub query: Option<String>,
    /// The status code, once it is answered.
    pub status: Option<u16>,
    /// How it ended, once it has. A watch is answered before it ends.
    pub ended: Option<Ended>,
    pub(crate) info: RequestInfo,
}

impl RequestRecord {
    /// Returns the verb as RBAC spells it: `get`, `list`, `watch`, …
    pub fn verb(&self) -> &'static str {
        self.info.verb.as_str()
    }

    /// Returns the decoded path, without the query.
    pub fn path(&self) -> &str {
        &self.info.path
    }

    /// Returns whether it is for a resource, and not for `/version`, discovery or health.
    pub fn is_resource(&self) -> bool {
        self.info.is_resource
    }

    /// Returns the API group, empty for the core group.
    pub fn group(&self) -> &str {
        &self.info.group
    }

    /// Returns the API version.
    pub fn version(&self) -> &str {
        &self.info.version
    }

    /// Returns the resource, such as `configmaps`. Empty if the request is for no resource.
    pub fn resource(&self) -> &str {
        &self.info.resource
    }

    /// Returns the subresource, such as `status`.
    pub fn subresource(&self) -> Option<&str> {
        self.info.subresource.as_deref()
    }

    /// Returns the namespace.
    pub fn namespace(&self) -> Option<&str> {
        self.info.namespace.as_deref()
    }

    /// Returns the name of the object.
    pub fn name(&self) -> Option<&str> {
        self.info.name.as_deref()
    }
}

/// Formats one line: the verb, the path with its query, and the status code once there is one.
impl fmt::Display for RequestRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.is_resource() { self.verb() } else { self.method.as_str() };
        write!(f, "{verb} {}", self.path())?;
        if let Some(query) = &self.query {
            write!(f, "?{query}")?;
        }
        match self.status {
            Some(status) => write!(f, " {status}"),
            None => f.write_str(" (not answered)"),
        }
    }
}

/// A place in the log, before all later requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Marker(pub(crate) u64);
