//! [`FleetBuilder`]: the settings of a fleet.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::Semaphore;

use super::roster::Roster;
use super::{Fleet, Inner};
use crate::connect::{Connector, KubeConnector};

/// The settings of a [`Fleet`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use clientmgr_kube::Fleet;
///
/// let fleet = Fleet::builder().connect_deadline(Duration::from_secs(10)).concurrent_connects(8).build();
/// assert!(fleet.clusters().is_empty());
/// ```
#[derive(Clone, Debug)]
#[must_use = "call `build`"]
pub struct FleetBuilder {
    deadline: Duration,
    request_deadline: Duration,
    retry: Duration,
    concurrency: usize,
    user_agent: HeaderValue,
}

impl Default for FleetBuilder {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            request_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(5),
            concurrency: 64,
            user_agent: HeaderValue::from_static(concat!("clientmgr-kube/", env!("CARGO_PKG_VERSION"))),
        }
    }
}

impl FleetBuilder {
    /// How long connecting a cluster may take in all, once it has its [place](Self::concurrent_connects): reading
    /// files, running a credential plugin, the first requests. 30 s by default.
    pub fn connect_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long a single request of a proof or a check may take. 10 s by default.
    pub fn request_deadline(mut self, deadline: Duration) -> Self {
        self.request_deadline = deadline;
        self
    }

    /// When readers are advised to ask again for a cluster that is unavailable, unless its server told. 5 s by default.
    /// Where [nothing but another configuration helps](crate::ConnectError::needs_other_configuration) it is five
    /// minutes, if that is more.
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry = delay;
        self
    }

    /// How many clusters are connected at a time, at least one; the next wait for a place. 64 by default.
    pub fn concurrent_connects(mut self, limit: usize) -> Self {
        self.concurrency = limit.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// The `User-Agent` of all requests, also of those that the clients' holders make. By default the name and version
    /// of this crate.
    pub fn user_agent(mut self, user_agent: HeaderValue) -> Self {
        self.user_agent = user_agent;
        self
    }

    /// A fleet without clusters.
    pub fn build(self) -> Fleet {
        let connector = KubeConnector::new(self.user_agent.clone(), self.request_deadline);
        self.build_with(Box::new(connector))
    }

    pub(crate) fn build_with(self, connector: Box<dyn Connector>) -> Fleet {
        let inner = Inner {
            roster: Roster::default(),
            connector,
            permits: Semaphore::new(self.concurrency),
            deadline: self.deadline,
            request_deadline: self.request_deadline,
            retry: self.retry,
        };
        Fleet { inner: Arc::new(inner) }
    }
}
