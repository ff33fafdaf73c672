//! [`FleetBuilder`]: the settings of a fleet.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use jiff::Timestamp;
use tokio::runtime::Handle;

use super::clock::Clock;
use super::connector::{Connector, KubeConnector};
use super::context::Context;
use super::events::EventHub;
use super::handle::Fleet;
use super::handles::Handles;
use super::history::History;
use super::timing::Timing;
use crate::auth::FileWatcher;
use crate::client::Settings;
use crate::work::Admission;
use crate::{config, metrics};

/// Times that are later by this, or by a few of it, can be computed.
const LONGEST_PROBE_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// The settings of a [`Fleet`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use clientmgr_kube::Fleet;
///
/// let fleet = Fleet::builder().connect_deadline(Duration::from_secs(10)).probe_interval(Duration::from_secs(5)).build();
/// assert!(fleet.clusters().is_empty());
/// ```
#[derive(Clone)]
#[must_use = "call `build`"]
pub struct FleetBuilder {
    deadline: Duration,
    request_deadline: Duration,
    retry: Duration,
    timing: Timing,
    concurrent_starts: usize,
    idle_timeout: Duration,
    user_agent: HeaderValue,
    http2: bool,
    wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    runtime: Option<Handle>,
}

impl Default for FleetBuilder {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            request_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(5),
            timing: Timing::default(),
            concurrent_starts: 64,
            idle_timeout: Duration::from_secs(90),
            user_agent: HeaderValue::from_static(concat!("clientmgr-kube/", env!("CARGO_PKG_VERSION"))),
            http2: true,
            wall: Arc::new(Timestamp::now),
            runtime: None,
        }
    }
}

impl FleetBuilder {
    /// Sets how long an attempt to connect may take in all: reading files, running a credential plugin, the first
    /// requests. 30 s by default.
    pub fn connect_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets how long a single request of an attempt or a probe may take. 10 s by default.
    pub fn request_deadline(mut self, deadline: Duration) -> Self {
        self.request_deadline = deadline;
        self
    }

    /// Sets the retry hint that readers get for an unavailable cluster; 5 s by default. A server's `Retry-After` takes
    /// precedence. For an error that only another configuration fixes, the hint is at least 5 minutes.
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry = delay;
        self
    }

    /// Sets the longest time between two probes of a connection, which are up to a tenth closer, to spread them. 15 s by
    /// default, a day at most.
    pub fn probe_interval(mut self, interval: Duration) -> Self {
        self.timing.probe_interval = interval.min(LONGEST_PROBE_INTERVAL);
        self
    }

    /// Sets after how many failed probes in a row a cluster is unavailable; at least one. 3 by default. A probe that failed
    /// is repeated after a second.
    pub fn failure_threshold(mut self, failures: u32) -> Self {
        self.timing.failure_threshold = failures.max(1);
        self
    }

    /// Sets how many credential plugins and file reads may start at a time; at least one. 64 by default. One that hangs
    /// does not count.
    pub fn concurrent_starts(mut self, limit: usize) -> Self {
        self.concurrent_starts = limit.max(1);
        self
    }

    /// Sets the `User-Agent` of all requests. By default the name and version of this crate.
    pub fn user_agent(mut self, user_agent: HeaderValue) -> Self {
        self.user_agent = user_agent;
        self
    }

    /// Sets whether HTTP/2 is spoken with servers that offer it; true by default. With HTTP/1.1 each watch has a
    /// connection of its own.
    pub fn http2(mut self, enabled: bool) -> Self {
        self.http2 = enabled;
        self
    }

    /// Sets how long a connection stays open without a request; 90 s by default. Probes are requests too, so this matters
    /// where they are further apart.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Sets the wall clock, by which credentials expire. The system's by default; for tests.
    pub fn wall_clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.wall = Arc::new(clock);
        self
    }

    /// Sets the runtime that the fleet's tasks run on. By default the one that [`build`](Self::build) is called in, else
    /// the one in which a cluster is added.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Builds a fleet without clusters.
    pub fn build(self) -> Fleet {
        self.build_on(|builder, settings| Box::new(builder.connector(settings)))
    }

    /// The real connector. With the fleet's own settings, since its connections are tasks that a shutdown waits for.
    pub(super) fn connector(&self, settings: &Settings) -> KubeConnector {
        KubeConnector {
            settings: settings.clone(),
            load: Arc::new(config::load),
            admission: Admission::new(self.concurrent_starts),
            deadline: self.deadline,
            request_deadline: self.request_deadline,
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            user_agent: self.user_agent.clone(),
            connect_timeout: self.deadline,
            idle_timeout: self.idle_timeout,
            credentials_deadline: self.deadline,
            http2: self.http2,
            clock: Arc::clone(&self.wall),
            ..Settings::default()
        }
    }

    /// A fleet without clusters, on the connector that `make` returns for its settings.
    pub(super) fn build_on(self, make: impl FnOnce(&Self, &Settings) -> Box<dyn Connector>) -> Fleet {
        metrics::describe();
        let settings = self.settings();
        Fleet::with_context(Context {
            connector: make(&self, &settings),
            clock: Clock::new(Arc::clone(&self.wall)),
            events: EventHub::default(),
            handles: Handles::default(),
            history: History::default(),
            timing: self.timing,
            files: FileWatcher::new(settings.tasks.clone()),
            settings,
            deadline: self.deadline,
            retry: self.retry,
            runtime: self.runtime.or_else(|| Handle::try_current().ok()),
        })
    }
}

impl Fleet {
    /// Returns a fleet without clusters, with the usual settings.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Returns a builder with the usual settings.
    pub fn builder() -> FleetBuilder {
        FleetBuilder::default()
    }
}

impl Default for Fleet {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FleetBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetBuilder")
            .field("deadline", &self.deadline)
            .field("request_deadline", &self.request_deadline)
            .field("retry", &self.retry)
            .field("timing", &self.timing)
            .field("concurrent_starts", &self.concurrent_starts)
            .field("http2", &self.http2)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clientmgr_core::{ClientProvider as _, ProviderError};
    use clientmgr_fake::apiserver::TestServer;

    use crate::work::Tasks;
    use crate::{ClusterConfig, ConnectErrorKind, Fleet};

    #[tokio::test]
    async fn connections_are_tasks_that_a_shutdown_waits_for() {
        let server = TestServer::builder().name("east").plain_http().start().await.unwrap();
        let mut tasks = Tasks::default();
        let fleet = Fleet::builder().build_on(|builder, settings| {
            tasks = settings.tasks.clone();
            Box::new(builder.connector(settings))
        });
        fleet.upsert("east", ClusterConfig::from_kubeconfig(&server.kubeconfig(), "east"));
        fleet.wait_connected("east").await.unwrap();
        assert!(tasks.count() >= 3, "the cluster's, the clock's and the connection's, not {}", tasks.count());
        fleet.shutdown().await;
        assert_eq!(tasks.count(), 0);
    }

    #[tokio::test]
    async fn a_probe_interval_without_end_is_a_day() {
        let server = TestServer::builder().name("east").plain_http().start().await.unwrap();
        let fleet = Fleet::builder().probe_interval(Duration::MAX).build();
        fleet.upsert("east", ClusterConfig::from_kubeconfig(&server.kubeconfig(), "east"));
        fleet.wait_connected("east").await.unwrap();
        fleet.probe("east").await.unwrap();
        assert!(fleet.snapshot("east").unwrap().is_connected());
    }

    #[tokio::test]
    async fn readers_of_a_fleet_that_was_shut_down_read_so_and_do_not_wait_for_the_cluster() {
        let fleet = Fleet::new();
        let east = "east".into();
        assert!(matches!(fleet.connection(&east).await, Err(ProviderError::NotFound)));
        fleet.upsert("east", ClusterConfig::unusable(ConnectErrorKind::InvalidConfig, None, "no"));
        fleet.shutdown().await;
        let Err(ProviderError::Unavailable { source, .. }) = fleet.connection(&east).await else {
            panic!("unavailable")
        };
        assert!(source.to_string().contains("shut down"), "{source}");
    }
}
