//! [`Connections`]: the open connections of one pool. They run as tasks of the fleet's runtime, whichever runtime sends the
//! requests, and all of them can be ended at once.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use futures::future::{Either, select};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::body::BoxError;
use super::refusals::Refusals;
use super::revoked::Revoked;
use crate::error::Failure;
use crate::work::Tasks;

type Callback = Arc<dyn Fn(Report) + Send + Sync>;

/// What happened to the connections of a pool. A connection counts once the server has answered on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Report {
    /// A connection ended with an error or was ended by the peer.
    Broken,
    /// New connections may lead to another server: a second one answered, one broke beside others, or one ended before the
    /// server answered on it.
    Widened,
    /// The last connection is gone.
    Emptied,
}

/// The connections of a pool. Clones are the same connections.
#[derive(Clone)]
pub(crate) struct Connections(Arc<Inner>);

/// Closes connections without keeping anything of them.
#[derive(Clone)]
pub(crate) struct WeakConnections(Weak<Inner>);

struct Inner {
    runtime: Handle,
    tasks: Tasks,
    closed: CancellationToken,
    revoked: OnceLock<Revoked>,
    /// How many streams there are on which the server has answered, and whether there was one.
    open: AtomicUsize,
    was_open: AtomicBool,
    on_report: Mutex<Option<Callback>>,
    refusals: Refusals,
    /// How many streams the server last granted a connection; the same for all pools of the server.
    granted: Arc<AtomicU32>,
}

/// A request or stream of a transport that was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection was closed: another one takes its place")]
pub(crate) struct Closed;

impl Connections {
    /// # Errors
    ///
    /// Outside a Tokio runtime, where connections cannot run.
    pub(crate) fn new(tasks: &Tasks) -> Result<Self, Failure> {
        Handle::try_current()
            .map(|runtime| Self::on(runtime, tasks.clone(), Arc::new(AtomicU32::new(u32::MAX))))
            .map_err(|_| Failure::NoRuntime)
    }

    /// Connections of the same runtime to the same server: none yet.
    pub(crate) fn fresh(&self) -> Self {
        Self::on(self.0.runtime.clone(), self.0.tasks.clone(), Arc::clone(&self.0.granted))
    }

    fn on(runtime: Handle, tasks: Tasks, granted: Arc<AtomicU32>) -> Self {
        Self(Arc::new(Inner {
            runtime,
            closed: tasks.stopped().child_token(),
            tasks,
            revoked: OnceLock::new(),
            open: AtomicUsize::new(0),
            was_open: AtomicBool::new(false),
            on_report: Mutex::new(None),
            refusals: Refusals::default(),
            granted,
        }))
    }

    /// Ends all connections at once, and lets none begin.
    pub(crate) fn close(&self) {
        self.0.closed.cancel();
    }

    /// Closes, with the error that streams end with.
    pub(crate) fn revoke(&self, revoked: &Revoked) {
        // The first one stays: the connections are closed already.
        let _ = self.0.revoked.set(revoked.clone());
        self.close();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.closed.is_cancelled()
    }

    /// Is cancelled when they are closed.
    pub(crate) fn closed(&self) -> CancellationToken {
        self.0.closed.clone()
    }

    /// Why these connections are closed.
    pub(crate) fn reason(&self) -> BoxError {
        match self.0.revoked.get() {
            Some(revoked) => revoked.clone().into(),
            None => Closed.into(),
        }
    }

    /// Sets what reports go to. Replaces what was set before. A pool whose connections are gone by now is reported as empty.
    pub(crate) fn on_report(&self, callback: Callback) {
        *self.0.on_report.lock().unwrap_or_else(PoisonError::into_inner) = Some(callback);
        if self.0.was_open.load(Ordering::SeqCst) && self.0.open.load(Ordering::SeqCst) == 0 {
            self.report(Report::Emptied);
        }
    }

    /// A connection ended with an error or was ended by the peer. `has_answered`: it is one of those that are counted.
    pub(super) fn broke(&self, has_answered: bool) {
        if has_answered {
            self.report(Report::Broken);
        }
        if !has_answered || self.0.open.load(Ordering::Relaxed) > 1 {
            self.report(Report::Widened);
        }
    }

    /// A connection answered for the first time.
    pub(super) fn answered(&self) {
        let others = self.0.open.fetch_add(1, Ordering::SeqCst);
        self.0.was_open.store(true, Ordering::SeqCst);
        if others > 0 {
            self.report(Report::Widened);
        }
    }

    /// The TLS errors of the connections.
    pub(super) fn refusals(&self) -> &Refusals {
        &self.0.refusals
    }

    /// The server grants a connection so many streams at a time.
    pub(super) fn grant(&self, streams: u32) {
        self.0.granted.store(streams, Ordering::Relaxed);
    }

    /// How many streams at a time the server grants a connection, as far as it has said.
    pub(super) fn granted(&self) -> u32 {
        self.0.granted.load(Ordering::Relaxed)
    }

    /// A connection that has answered is gone.
    pub(super) fn ended(&self) {
        if self.0.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.report(Report::Emptied);
        }
    }

    fn report(&self, report: Report) {
        if self.is_closed() {
            return;
        }
        let callback = self.0.on_report.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(callback) = callback {
            callback(report);
        }
    }

    /// Awaits `work` until the connections are closed.
    pub(crate) async fn until_closed<T>(&self, work: impl Future<Output = T>) -> Result<T, BoxError> {
        match select(pin!(self.0.closed.cancelled()), pin!(work)).await {
            Either::Left(((), _)) => Err(self.reason()),
            Either::Right((done, _)) => Ok(done),
        }
    }

    /// Runs `work` on the fleet's runtime until it is done, the connections are closed, or the returned handle is dropped.
    pub(crate) fn spawn<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> impl Future<Output = Result<T, BoxError>> + Send + 'static
    where
        T: Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
    {
        let this = self.clone();
        let task = async move { this.until_closed(work).await?.map_err(Into::into) };
        let task = AbortOnDropHandle::new(self.0.tasks.spawn_on(task, &self.0.runtime));
        async move { task.await.map_err(io::Error::other)? }
    }

    pub(crate) fn downgrade(&self) -> WeakConnections {
        WeakConnections(Arc::downgrade(&self.0))
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl WeakConnections {
    /// Whether these are `connections`.
    pub(crate) fn are(&self, connections: &Connections) -> bool {
        std::ptr::eq(self.0.as_ptr(), Arc::as_ptr(&connections.0))
    }

    /// The connections, if any of them or their pool is left.
    pub(crate) fn upgrade(&self) -> Option<Connections> {
        self.0.upgrade().map(Connections)
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Connections {
    fn execute(&self, connection: F) {
        let this = self.clone();
        // What comes of it is known to the streams of the connection.
        let task = async move {
            let _ = this.until_closed(connection).await;
        };
        drop(self.0.tasks.spawn_on(task, &self.0.runtime));
    }
}
