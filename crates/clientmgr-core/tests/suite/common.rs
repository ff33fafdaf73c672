//! What the tests of this crate share: a provider that is steered by hand, and revisions with and without an order.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;

use clientmgr_core::{ClientProvider, Connection, ObservedCluster, ProviderError, Revision, async_trait};
use proptest::prelude::ProptestConfig;
use proptest::test_runner::FileFailurePersistence;

pub(crate) type Cluster = u8;

/// A revision whose order is known, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rev {
    Time(u32),
    Hash(u32),
}

impl Revision for Rev {
    fn is_older_than(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Time(this), Self::Time(other)) if this < other)
    }
}

/// A client knows its connection, so that a test sees which one it got.
pub(crate) type Client = (Cluster, Rev);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    NotFound,
    Unavailable,
    Incompatible,
}

#[derive(Debug, thiserror::Error)]
#[error("the test said so")]
pub(crate) struct Reason;

impl From<Fault> for ProviderError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NotFound => Self::NotFound,
            Fault::Unavailable => Self::unavailable(Reason),
            Fault::Incompatible => Self::incompatible(Reason),
        }
    }
}

/// Returns the answer that a test sets, after the number of polls that the test sets.
#[derive(Debug, Default)]
pub(crate) struct Provider {
    current: Mutex<HashMap<Cluster, Result<Rev, Fault>>>,
    /// How many polls the next request waits before it looks at what is current.
    delay: AtomicUsize,
    asked: AtomicUsize,
}

impl Provider {
    pub(crate) fn set(&self, cluster: Cluster, current: Result<Rev, Fault>) {
        self.current.lock().unwrap().insert(cluster, current);
    }

    pub(crate) fn current(&self, cluster: Cluster) -> Result<Rev, Fault> {
        self.current.lock().unwrap().get(&cluster).copied().unwrap_or(Err(Fault::NotFound))
    }

    pub(crate) fn delay_next(&self, polls: usize) {
        self.delay.store(polls, SeqCst);
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    /// Returns the current cluster object.
    pub(crate) fn cluster(&self, cluster: Cluster) -> ObservedCluster<Cluster, Rev> {
        observed(cluster, self.current(cluster).ok())
    }
}

#[async_trait]
impl ClientProvider for Provider {
    type Client = Client;
    type Key = Cluster;
    type Revision = Rev;

    async fn connection(&self, cluster: &Cluster) -> Result<Connection<Client, Rev>, ProviderError> {
        self.asked.fetch_add(1, SeqCst);
        pend(self.delay.swap(0, SeqCst)).await;
        let revision = self.current(*cluster)?;
        Ok(Connection { client: (*cluster, revision), revision })
    }
}

pub(crate) fn observed(cluster: Cluster, revision: Option<Rev>) -> ObservedCluster<Cluster, Rev> {
    ObservedCluster { key: cluster, revision }
}

/// Is pending for as many polls.
pub(crate) async fn pend(polls: usize) {
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Polls a future once, without a runtime.
pub(crate) fn poll_now<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

/// How random schedules are run: 1,000 cases, or `PROPTEST_CASES`; a failing one is kept in the file `regressions`.
pub(crate) fn config(regressions: &'static str) -> ProptestConfig {
    let cases =
        std::env::var("PROPTEST_CASES").map_or(1_000, |cases| cases.parse().expect("PROPTEST_CASES is a number"));
    ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(regressions))),
        ..ProptestConfig::default()
    }
}
