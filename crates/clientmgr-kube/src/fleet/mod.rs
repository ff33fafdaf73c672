//! [`Fleet`]: the connections to many clusters, behind one handle.

mod builder;
mod member;
#[cfg(test)]
mod race_tests;
mod roster;
mod shared;
#[cfg(test)]
mod stage;
mod standing;
mod state;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clientmgr_core::{ClientProvider, ConnectedAt, Connection, NamespacedName, ProviderError, async_trait};
use futures::future::join_all;
use kube::Client;
use kube::config::Kubeconfig;
use tokio::sync::Semaphore;

pub use self::builder::FleetBuilder;
use self::member::{Means, Member};
use self::roster::Roster;
use self::standing::ClusterState;
pub(crate) use self::standing::Line;
use self::state::{State, Want};
use crate::connect::{Connector, Proof};
use crate::{ConnectError, ConnectFailure, Endpoint};

/// The connections to many clusters: a [`ClientProvider`] of `kube::Client`s. Cheap to clone; all clones are one fleet.
///
/// A cluster is [added](Self::upsert) with its endpoint, [connected](Self::connect), served to readers, and
/// [removed](Self::remove). Nothing happens by itself: a fleet spawns no task of its own, whoever awaits a method
/// drives it. For each cluster one connection is made at a time; calls that come meanwhile share its outcome, as far as
/// it is what they asked for.
///
/// Readers ([`connection`](ClientProvider::connection)) never wait: a cluster is served, or it is unavailable and the
/// last [`ConnectError`] says why.
///
/// # Deadlines
///
/// Every attempt and every check has a deadline. An attempt's begins when it gets its place among those that the
/// [limit](FleetBuilder::concurrent_connects) allows at a time. So a cluster that hangs delays no other, until as many
/// hang at once as there are places; then a connect waits for the first of them to reach its deadline. Readers never
/// wait, and neither does a check of what is connected.
///
/// The clients it hands out have a timeout for connecting and none for reading, since a watch may be silent for as long
/// as nothing happens: a single request that must not hang needs a timeout around it. Nor do they repeat failed
/// requests by themselves, since that makes an outage look like a hang: a controller has a backoff of its own. The one
/// exception is a request whose token was refused: if the token can be renewed, it is, and the request sent once more.
///
/// # Runtime
///
/// [`connect`](Self::connect), [`connect_all`](Self::connect_all), [`reconnect`](Self::reconnect) and
/// [`check`](Self::check) need a Tokio runtime with time and I/O enabled. Where there is none, or one without time,
/// they end in [`ConnectFailure::NoRuntime`] (by a panic of Tokio's that is caught, so not in a program that is built
/// with `panic = "abort"`). Whether it has I/O cannot be asked; where it has none, Tokio panics at the first request.
/// Everything else works anywhere.
///
/// A connection lives on the runtime that it was made on. When that is gone its client fails, and [`check`](Self::check)
/// notices.
///
/// # Cancel safety
///
/// Dropping the future of any method gives up what it was doing and leaves the cluster as it was before.
///
/// **Poll it or drop it.** Nobody but its future drives an attempt, its deadline included. One that is kept and not
/// polled keeps its cluster's turn and its place among the fleet's [concurrent
/// connects](FleetBuilder::concurrent_connects) for as long: who waits for either behind it, waits without an end. That
/// is what happens where a `select!` polls `&mut connecting` and awaits another method in the branch that came first.
/// Spawn the attempt as a task where it is to go on while something else is awaited. A [`check`](Self::check) holds
/// nothing, unless it has to connect.
///
/// # Example
///
/// ```no_run
/// use clientmgr_kube::{Fleet, read_kubeconfig};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let fleet = Fleet::builder().build();
/// fleet.add_contexts(&read_kubeconfig()?);
/// for (cluster, outcome) in fleet.connect_all().await {
///     match outcome {
///         Ok(connected_at) => println!("{cluster} connected at {connected_at}"),
///         Err(error) => println!("{error}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Fleet {
    inner: Arc<Inner>,
}

struct Inner {
    roster: Roster,
    connector: Box<dyn Connector>,
    permits: Semaphore,
    deadline: Duration,
    request_deadline: Duration,
    retry: Duration,
}

impl Inner {
    fn means(&self) -> Means<'_> {
        Means {
            connector: &*self.connector,
            permits: &self.permits,
            deadline: self.deadline,
            request_deadline: self.request_deadline,
        }
    }
}

impl Fleet {
    /// A builder with the usual settings.
    pub fn builder() -> FleetBuilder {
        FleetBuilder::default()
    }

    /// Adds a cluster, or puts another endpoint in place for one that is there. Connects nothing.
    ///
    /// A connection to the old endpoint is served until the next [`connect`](Self::connect) has made and proven one to
    /// the new. An attempt or a check that is under way ends at once in [`ConnectFailure::Superseded`].
    pub fn upsert(&self, cluster: NamespacedName, endpoint: Endpoint) {
        self.inner.roster.upsert(cluster, endpoint);
    }

    /// Adds every context of `kubeconfig` as a cluster without a namespace, named as the context. Connects nothing.
    ///
    /// A context that is wrong is added as well: connecting it tells what is wrong, and the others are not concerned.
    ///
    /// For a context that is there this is an [`upsert`](Self::upsert), also where nothing changed: the next connect
    /// makes a new connection, and every object is reset. To take up a file that may have changed, upsert the contexts
    /// that did; to have credentials read anew, [`reconnect`](Self::reconnect). Clusters whose context is gone stay
    /// until they are [removed](Self::remove).
    pub fn add_contexts(&self, kubeconfig: &Kubeconfig) {
        for context in crate::contexts(kubeconfig) {
            self.upsert(NamespacedName::cluster_scoped(context), Endpoint::from_kubeconfig(kubeconfig, context));
        }
    }

    /// Removes a cluster: from now on there is [none](ProviderError::NotFound). False where there was none.
    ///
    /// An attempt or a check that is under way ends at once in [`ConnectFailure::Removed`].
    pub fn remove(&self, cluster: &NamespacedName) -> bool {
        let member = self.inner.roster.remove(cluster);
        if let Some(member) = &member {
            member.remove();
        }
        member.is_some()
    }

    /// Connects a cluster and proves that its API answers. One that is connected to its endpoint stays as it is, and is
    /// told at once, even while a [`reconnect`](Self::reconnect) is under way.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]; until the next attempt it is also what readers are given as the source of
    /// [`ProviderError::Unavailable`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the attempt up. One that is kept and not polled is in the way of others: [poll it or
    /// drop it](Self#cancel-safety).
    pub async fn connect(&self, cluster: &NamespacedName) -> Result<ConnectedAt, ConnectError> {
        self.find(cluster)?.connect(Want::Any, &self.inner.means()).await
    }

    /// [Connects](Self::connect) all clusters at once and tells what came of each, in the order of their keys.
    ///
    /// As many at a time as the fleet's limit allows; each has its own deadline, which does not run while it waits for
    /// its place.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the attempts up. One that is kept and not polled is in the way of others: [poll it or
    /// drop it](Self#cancel-safety).
    pub async fn connect_all(&self) -> Vec<(NamespacedName, Result<ConnectedAt, ConnectError>)> {
        let means = &self.inner.means();
        let connecting = self.inner.roster.all().into_iter().map(|member| async move {
            let outcome = member.connect(Want::Any, means).await;
            (member.key().clone(), outcome)
        });
        join_all(connecting).await
    }

    /// Replaces the connection of a cluster by a new one with a later revision. The old one is served until the new one
    /// is proven.
    ///
    /// Credentials are read anew: after the call, never before. So an attempt that was under way is waited for and its
    /// outcome not shared; calls that wait for it together share the one that follows.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] if no new connection could be made. The old one is then [checked](Self::check), and served on
    /// only if it still answers: bad new credentials do not break a cluster that works, and a dead cluster does not
    /// pass for a working one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the attempt up. One that is kept and not polled is in the way of others: [poll it or
    /// drop it](Self#cancel-safety).
    pub async fn reconnect(&self, cluster: &NamespacedName) -> Result<ConnectedAt, ConnectError> {
        self.find(cluster)?.connect(Want::New, &self.inner.means()).await
    }

    /// Checks that the connection of a cluster still answers. [Connects](Self::connect) a cluster that has none.
    ///
    /// The connection of a check that failed is served no more, and a check that succeeds has it served again, at the
    /// same revision, because it is the same connection; unless its endpoint was [replaced](Self::upsert), then it is
    /// gone for good. To have it replaced instead, [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: the connection is no longer served, and readers are given this error.
    ///
    /// Except where the server had too much to do to let the check through (429): it lives, so what is served is served
    /// on, and the error is told to the caller alone, with how long to leave the server
    /// [alone](ConnectError::retry_after). A 503 is no such answer: an API server that is not ready sends it, or a
    /// proxy with nothing behind it.
    ///
    /// A check that is overtaken by another connection tells what that one's revision is. One that an
    /// [`upsert`](Self::upsert) or a [`remove`](Self::remove) ends says so, and nothing about the connection:
    /// [`ConnectFailure::Superseded`] and [`ConnectFailure::Removed`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the check up. One that is kept and not polled is in the way of others only where it
    /// connects: then [poll it or drop it](Self#cancel-safety).
    pub async fn check(&self, cluster: &NamespacedName) -> Result<ConnectedAt, ConnectError> {
        self.find(cluster)?.check(&self.inner.means()).await
    }

    /// Where a cluster stands; none where there is no such cluster.
    pub fn status(&self, cluster: &NamespacedName) -> Option<ClusterStatus> {
        self.inner.roster.read(cluster, |member| Some(member?.read(ClusterStatus::of)))
    }

    /// The clusters of the fleet, sorted.
    pub fn clusters(&self) -> Vec<NamespacedName> {
        self.inner.roster.all().iter().map(|member| member.key().clone()).collect()
    }

    fn find(&self, cluster: &NamespacedName) -> Result<Arc<Member>, ConnectError> {
        let member = self.inner.roster.find(cluster);
        member.ok_or_else(|| ConnectError::new(cluster.clone(), ConnectFailure::Unknown))
    }
}

#[async_trait]
impl ClientProvider for Fleet {
    type Client = Client;
    type Key = NamespacedName;
    type Revision = ConnectedAt;

    async fn connection(&self, cluster: &NamespacedName) -> Result<Connection<Client, ConnectedAt>, ProviderError> {
        let retry = self.inner.retry;
        self.inner.roster.read(cluster, |member| member.ok_or(ProviderError::NotFound)?.connection(retry))
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("clusters", &self.inner.roster.len()).finish_non_exhaustive()
    }
}

/// Where a cluster of a [`Fleet`] stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClusterStatus {
    /// There is no connection, and none was asked for.
    Idle,
    /// The first connection is being made.
    Connecting,
    /// There is a connection, and it is served.
    Connected {
        /// Its revision.
        connected_at: ConnectedAt,
        /// What was proven when it was made.
        proof: Proof,
    },
    /// Nothing is served.
    Failing {
        /// What went wrong last.
        error: ConnectError,
    },
}

impl ClusterStatus {
    fn of(state: &ClusterState) -> Self {
        match state {
            State::Connected { current } | State::Replacing { current, .. } => {
                Self::Connected { connected_at: current.revision, proof: current.client.proof.clone() }
            }
            State::Failing { error, .. } | State::Retrying { error, .. } => {
                Self::Failing { error: error.error.clone() }
            }
            State::Connecting { .. } => Self::Connecting,
            State::Idle | State::Removed => Self::Idle,
        }
    }

    /// The revision of the connection that is served.
    pub fn connected_at(&self) -> Option<ConnectedAt> {
        match self {
            Self::Connected { connected_at, .. } => Some(*connected_at),
            Self::Idle | Self::Connecting | Self::Failing { .. } => None,
        }
    }
}
