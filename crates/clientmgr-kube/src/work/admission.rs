//! [`Admission`]: bounds how much work of a kind starts at a time in a fleet. It bounds work and not waiting: what hangs
//! gives its permit back, so that any number of hanging clusters delays no other.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long work may take until it counts as waiting. Starting a thread or a process takes less.
const PATIENCE: Duration = Duration::from_millis(10);

/// Permits for work. Clones share them.
#[derive(Clone)]
pub(crate) struct Admission(Arc<Permits>);

struct Permits {
    usual: Semaphore,
    /// For those that hung before: they queue behind each other and delay no other.
    slow: Semaphore,
}

/// What one member's work was like the last time.
#[derive(Debug, Default)]
pub(crate) struct Record {
    hung: AtomicBool,
}

impl Admission {
    /// Admits `limit` at a time, at least one.
    pub(crate) fn new(limit: usize) -> Self {
        let permits = || Semaphore::new(limit.clamp(1, Semaphore::MAX_PERMITS));
        Self(Arc::new(Permits { usual: permits(), slow: permits() }))
    }

    /// Runs `work` once it is admitted.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops `work` and its place in the queue.
    pub(crate) async fn run<F: Future>(&self, record: &Record, work: F) -> F::Output {
        let permits = if record.hung.load(Ordering::Relaxed) { &self.0.slow } else { &self.0.usual };
        let permit = permits.acquire().await.expect("nothing closes the semaphore");
        let mut work = pin!(work);
        let done = timeout(PATIENCE, work.as_mut()).await;
        // Kept also where the future is dropped from here on: it hung.
        record.hung.store(done.is_err(), Ordering::Relaxed);
        drop(permit);
        match done {
            Ok(done) => done,
            Err(_) => work.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures::future::join_all;
    use tokio::time::{Instant, sleep};

    use super::{Admission, PATIENCE, Record};

    #[tokio::test(start_paused = true)]
    async fn as_many_work_at_a_time_as_are_admitted() {
        let (admission, running, most) = (Admission::new(3), AtomicUsize::new(0), AtomicUsize::new(0));
        let (running, most) = (&running, &most);
        let work = || async move {
            most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            sleep(PATIENCE / 2).await;
            running.fetch_sub(1, Ordering::Relaxed);
        };
        let records: Vec<_> = (0..10).map(|_| Record::default()).collect();
        join_all(records.iter().map(|record| admission.run(record, work()))).await;
        assert_eq!(most.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_gives_its_permit_back_and_is_queued_apart_from_then_on() {
        let admission = Admission::new(1);
        let records: Vec<_> = (0..100).map(|_| Record::default()).collect();
        let healthy = Record::default();

        for (hung, delay) in [(false, PATIENCE * 100), (true, Duration::ZERO)] {
            assert!(records.iter().all(|record| record.hung.load(Ordering::Relaxed) == hung));
            let mut hanging: Vec<_> =
                records.iter().map(|record| Box::pin(admission.run(record, pending::<()>()))).collect();
            for hanging in &mut hanging {
                assert!(futures::poll!(hanging).is_pending());
            }
            let before = Instant::now();
            let all = futures::future::select(join_all(hanging), Box::pin(admission.run(&healthy, ready(7))));
            let futures::future::Either::Right((done, hanging)) = all.await else { panic!("what hangs is done") };
            assert_eq!(done, 7);
            let waited = before.elapsed();
            assert!(waited >= delay && waited <= delay * 2, "{waited:?}");
            drop(hanging);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slow_work_is_done_and_quick_work_is_forgiven() {
        let (admission, record) = (Admission::new(0), Record::default());
        let slow = admission.run(&record, async {
            sleep(PATIENCE * 3).await;
            7
        });
        assert_eq!(slow.await, 7);
        assert!(record.hung.load(Ordering::Relaxed));
        assert_eq!(admission.run(&record, ready(8)).await, 8);
        assert!(!record.hung.load(Ordering::Relaxed));
    }
}
