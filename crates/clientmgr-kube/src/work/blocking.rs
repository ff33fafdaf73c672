//! Blocking work of one member: on a thread of its own with a deadline, one piece of work at a time.
//!
//! Not Tokio's blocking pool: work that hangs there keeps the runtime from shutting down. A thread that hangs here is
//! abandoned, and keeps its worker, so that there is never a second one for the same cluster.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::deadline::Deadline;
use crate::error::Failure;

/// Where one member's blocking work runs. Clones are the same worker.
#[derive(Clone)]
pub(crate) struct BlockingWorker(Arc<Semaphore>);

/// Runs `work` here: it only computes. A panic in it becomes an error.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    // What a panic leaves behind is dropped with the work, so it is never seen half done.
    catch_unwind(AssertUnwindSafe(work)).map_err(|_panic| Failure::BlockingPanicked)
}

impl BlockingWorker {
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
        deadline: impl Into<Deadline>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let deadline = deadline.into();
        let hangs = Failure::BlockingHangs { deadline: deadline.limit() };
        let runtime = Handle::try_current().map_err(|_| Failure::NoRuntime)?;
        // Not by the sum of now and the deadline, which would be too much for a deadline that is meant as none.
        timeout(deadline.left(), self.run_to_its_end(runtime, work)).await.unwrap_or(Err(hangs))
    }

    async fn run_to_its_end<T: Send + 'static>(
        &self,
        runtime: Handle,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let place = Arc::clone(&self.0).acquire_owned().await.map_err(|_closed| Failure::NoThread)?;
        let (answer, answered) = oneshot::channel();
        let body = move || {
            let result = {
                let _inside = runtime.enter();
                catch(work)
            };
            // The worker is free before the answer is out, since the next piece of work may follow at once.
            drop(place);
            // Fails where the caller gave up.
            let _ = answer.send(result);
        };
        thread::Builder::new().name("clientmgr-connect".into()).spawn(body).map_err(|_| Failure::NoThread)?;
        answered.await.unwrap_or(Err(Failure::BlockingPanicked))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::{BlockingWorker, Deadline, catch};
    use crate::error::Failure;

    const PATIENCE: Duration = Duration::from_secs(20);
    const SOON: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn work_runs_within_the_runtime_and_returns_its_value() {
        let inside = BlockingWorker::new().run(PATIENCE, || tokio::runtime::Handle::try_current().is_ok()).await;
        assert!(inside.unwrap());
    }

    #[tokio::test]
    async fn a_deadline_may_be_as_far_away_as_a_duration_can_tell() {
        assert_eq!(BlockingWorker::new().run(Duration::MAX, || 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_frees_the_worker() {
        let worker = BlockingWorker::new();
        let panicked = worker.run(PATIENCE, || std::panic::resume_unwind(Box::new("on purpose"))).await;
        assert!(matches!(panicked, Err::<(), _>(Failure::BlockingPanicked)));
        assert_eq!(worker.run(PATIENCE, || 7).await.unwrap(), 7);
    }

    #[test]
    fn a_panic_in_work_that_computes_is_an_error() {
        let panicked = catch(|| std::panic::resume_unwind(Box::new("on purpose")));
        assert!(matches!(panicked, Err::<(), _>(Failure::BlockingPanicked)));
        assert_eq!(catch(|| 7).unwrap(), 7);
    }

    #[tokio::test]
    async fn work_that_hangs_is_abandoned_and_nothing_is_started_beside_it() {
        let worker = BlockingWorker::new();
        let (end, ended) = mpsc::channel::<()>();
        let hung = worker.run(SOON, move || ended.recv()).await;
        assert!(matches!(hung, Err(Failure::BlockingHangs { deadline: SOON })));

        let (started, starts) = mpsc::channel();
        let refused = worker.run(Deadline::within(SOON), move || started.send(())).await;
        assert!(matches!(refused, Err(Failure::BlockingHangs { deadline: SOON })));
        assert!(starts.try_recv().is_err(), "a second thread beside the one that hangs");

        drop(end);
        assert_eq!(worker.run(PATIENCE, || 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn work_of_a_caller_that_gave_up_is_waited_for() {
        let worker = BlockingWorker::new();
        let (end, ended) = mpsc::channel::<()>();
        let (began, begins) = tokio::sync::oneshot::channel();
        {
            let running = std::pin::pin!(worker.run(PATIENCE, move || {
                began.send(()).unwrap();
                ended.recv()
            }));
            futures::future::select(running, begins).await;
        }
        let mut next = std::pin::pin!(worker.run(PATIENCE, || 7));
        assert!(futures::poll!(next.as_mut()).is_pending());
        drop(end);
        assert_eq!(next.await.unwrap(), 7);
    }

    #[test]
    fn without_a_runtime_nothing_is_started() {
        let outcome = futures::executor::block_on(BlockingWorker::new().run(PATIENCE, || 7));
        assert!(matches!(outcome, Err(Failure::NoRuntime)));
    }
}
