//! A record of one request in the log.

use std::{fmt, sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{access::credential::Fingerprint, wire::route::RequestInfo};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The whole answer was given. A watch ends so when its `timeoutSeconds` have passed.
    Complete,
    /// A watch could not go on from its resource version: the client got a 410.
    Expired,
    /// The client went away.
    ClientGone,
    /// The server cut the connection: it was stopped or replaced, or the test cut it.
    ServerCut,
    /// The watch was ended on demand.
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
    /// Time since the server was made, on tokio's clock (which tests can pause).
    pub after: Duration,
    /// Why.
    pub reason: EndReason,
}

/// One request the server has seen.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RequestRecord {
    /// Its place in the log: 0 is the server's first request.
    pub sequence: u64,
    /// When its head arrived, by the server's time of day.
    pub time: Timestamp,
    /// When its head arrived, since the server was made, on tokio's clock (which tests can pause).
    pub after: Duration,
    /// The connection it came on; over HTTP/2 many requests come on one. Each call of a socketless service is a
    /// connection of its own.
    pub connection: u64,
    /// The UID of the cluster that was behind the address.
    pub cluster_uid: Arc<str>,
    /// The user, `system:anonymous` without credentials, `None` if the credential was refused. With impersonation
    /// it is the impersonating user.
    pub user: Option<String>,
    /// Tells which credential was presented.
    pub fingerprint: Option<Fingerprint>,
    /// The HTTP version, `HTTP/1.1` or `HTTP/2.0`.
    pub http_version: http::Version,
    /// The HTTP method.
    pub method: http::Method,
    /// The query as sent, without the question mark.
    pub query: Option<String>,
    /// The status code, once answered.
    pub status: Option<u16>,
    /// How it ended, once it has. A watch is answered long before.
    pub ended: Option<Ended>,
    pub(crate) info: RequestInfo,
}

impl RequestRecord {
    /// The verb as RBAC spells it: `get`, `list`, `watch`, …
    pub fn verb(&self) -> &'static str {
        self.info.verb.as_str()
    }

    /// The decoded path, without the query.
    pub fn path(&self) -> &str {
        &self.info.path
    }

    /// Whether this is about a resource, as against `/version`, discovery or health.
    pub fn is_resource(&self) -> bool {
        self.info.is_resource
    }

    /// The API group; empty for the core group.
    pub fn group(&self) -> &str {
        &self.info.group
    }

    /// The API version.
    pub fn version(&self) -> &str {
        &self.info.version
    }

    /// The resource, `configmaps`; empty if it is not about one.
    pub fn resource(&self) -> &str {
        &self.info.resource
    }

    /// The subresource, `status`.
    pub fn subresource(&self) -> Option<&str> {
        self.info.subresource.as_deref()
    }

    /// The namespace.
    pub fn namespace(&self) -> Option<&str> {
        self.info.namespace.as_deref()
    }

    /// The object's name.
    pub fn name(&self) -> Option<&str> {
        self.info.name.as_deref()
    }
}

/// One line: the verb, the path with its query, and the status code once there is one.
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

/// A place in the log. What is logged from here on comes after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Marker(pub(crate) u64);
