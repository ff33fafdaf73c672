//! A lane for blocking work: a thread of its own with a deadline, one piece of work at a time.
//!
//! Not Tokio's blocking pool: work that hangs there keeps the runtime from shutting down. A thread that hangs here is
//! abandoned, and keeps its lane, so that there is never a second one for the same cluster.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::ConnectFailure;

/// Where one endpoint's blocking work runs.
pub(crate) struct Lane(Arc<Semaphore>);

impl Lane {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }

    /// Runs `work` on a thread of its own, within the caller's runtime. A panic in it becomes an error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future lets `work` run to its end; what it returns is dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        deadline: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ConnectFailure> {
        let hangs = ConnectFailure::BuildHangs { deadline };
        let runtime = Handle::try_current().map_err(|_| ConnectFailure::NoRuntime)?;
        let until = Instant::now() + deadline;
        let Ok(Ok(place)) = timeout_at(until, Arc::clone(&self.0).acquire_owned()).await else {
            return Err(hangs);
        };
        let (answer, answered) = oneshot::channel();
        let body = move || {
            let result = {
                let _inside = runtime.enter();
                // What a panic leaves behind is dropped with the work, so nobody can see it half done.
                catch_unwind(AssertUnwindSafe(work))
            };
            // The lane is free before the answer is out, since the next piece of work may follow at once.
            drop(place);
            // Nobody listens where the caller gave up.
            let _ = answer.send(result);
        };
        thread::Builder::new().name("clientmgr-connect".into()).spawn(body).map_err(|_| ConnectFailure::NoThread)?;
        match timeout_at(until, answered).await {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(_)) | Err(_)) => Err(ConnectFailure::BuildPanicked),
            Err(_elapsed) => Err(hangs),
        }
    }
}
