//! [`Tasks`]: all tasks of a fleet, so that its shutdown waits for them.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// How long a shutdown waits for the tasks of clients. One that the program still holds keeps its task.
const PATIENCE: Duration = Duration::from_millis(100);

/// The tasks of a fleet. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    own: TaskTracker,
    /// kube spawns a task for each client. It ends when the last clone of the client is dropped.
    clients: TaskTracker,
    stopped: CancellationToken,
}

impl Tasks {
    /// Spawns a task that [`stop`](Self::stop) waits for.
    pub(crate) fn spawn_on<F>(&self, task: F, runtime: &Handle) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.own.spawn_on(task, runtime)
    }

    /// How many tasks have not ended.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.own.len()
    }

    /// A token for what the task of a client owns; none once the fleet stops.
    pub(crate) fn of_client(&self) -> Option<TaskTrackerToken> {
        // In this order: a stop that does not wait for the token is seen here.
        let token = self.clients.token();
        (!self.stopped.is_cancelled()).then_some(token)
    }

    /// Is cancelled when the fleet stops.
    pub(crate) fn stopped(&self) -> &CancellationToken {
        &self.stopped
    }

    /// Cancels [`stopped`](Self::stopped) and waits until all tasks have ended; any number of callers may.
    pub(crate) async fn stop(&self) {
        self.stopped.cancel();
        self.own.close();
        self.clients.close();
        self.own.wait().await;
        if Handle::try_current().is_ok() {
            // The fleet's own clients are dropped by now, and end as soon as they run.
            let _ = tokio::time::timeout(PATIENCE, self.clients.wait()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::runtime::Handle;

    use super::{PATIENCE, Tasks};

    #[tokio::test]
    async fn every_caller_waits_until_the_last_task_has_ended() {
        let tasks = Tasks::default();
        let task = tasks.spawn_on(pending::<()>(), &Handle::current());
        let (mut first, mut second) = (Box::pin(tasks.stop()), Box::pin(tasks.stop()));
        assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
        assert!(tasks.stopped().is_cancelled());
        task.abort();
        first.await;
        second.await;
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_held_does_not_hold_up_the_stop_for_ever() {
        let tasks = Tasks::default();
        let _token = tasks.of_client().unwrap();
        let before = tokio::time::Instant::now();
        tasks.stop().await;
        assert_eq!(before.elapsed().as_millis(), PATIENCE.as_millis());
        assert!(tasks.of_client().is_none(), "there are no clients after the stop");
    }
}
