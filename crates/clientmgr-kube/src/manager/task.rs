//! [`BoundTask`]: a spawned task as a state bound to a client.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::panic::AssertUnwindSafe;

use clientmgr_core::BoundState;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::task::AbortHandle;

/// A Tokio task that is bound to a client: the teardown aborts it, and the next one is built only when it has ended.
///
/// An aborted task may be in the middle of a poll on another thread, and sends what it is about to send. So
/// [`BoundStates`](crate::BoundStates) waits until the future of the task is dropped. A task that blocks its thread delays
/// its successor for as long.
///
/// Dropping it aborts the task.
///
/// # Examples
///
/// ```
/// # use clientmgr_kube::k8s_openapi::api::core::v1::ConfigMap;
/// use clientmgr_kube::{BoundError, BoundStates, BoundTask, ClusterObject, kube};
///
/// async fn watch(client: kube::Client, name: String) {
///     // Watch with `client`.
/// #   drop((client, name));
/// }
///
/// # async fn reconcile(
/// #     watches: &BoundStates<BoundTask>, object: &ConfigMap, cluster: &impl ClusterObject, name: String,
/// # ) -> Result<(), BoundError<std::convert::Infallible>> {
/// watches.get_or_build(object, cluster, BoundTask::build(|client| watch(client, name))).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BoundTask {
    task: AbortHandle,
    ended: Shared<BoxFuture<'static, ()>>,
}

impl BoundTask {
    /// Spawns `task`.
    ///
    /// # Panics
    ///
    /// Panics outside a Tokio runtime.
    pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        let task = tokio::spawn(AssertUnwindSafe(task).catch_unwind().map(|ended| {
            if ended.is_err() {
                tracing::error!("a bound task panicked: the panic hook has the message");
            }
        }));
        Self { task: task.abort_handle(), ended: task.map(|_| ()).boxed().shared() }
    }

    /// Returns a build for [`get_or_build`](crate::BoundStates::get_or_build) that spawns what `task` returns for a client.
    pub fn build<C, F>(task: impl FnOnce(C) -> F) -> impl FnOnce(C) -> Ready<Result<Self, Infallible>>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        |client| ready(Ok(Self::spawn(task(client))))
    }

    /// Returns whether the task has ended: by itself, by a panic, or because it was torn down.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}

impl BoundState for BoundTask {
    fn teardown(&self) {
        self.task.abort();
    }

    async fn ended(&self) {
        self.ended.clone().await;
    }
}

impl Drop for BoundTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use std::sync::{Arc, Mutex, mpsc};

    use clientmgr_core::{BoundState as _, ConnectedAt, NamespacedName, ObservedCluster};
    use clientmgr_fake::FakeClientProvider;
    use futures::FutureExt as _;
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::BoundTask;
    use crate::BoundStates;
    use crate::manager::testing::Errors;

    type Tasks = BoundStates<BoundTask, FakeClientProvider<u32>>;

    fn object() -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.uid = Some("7d1cbb0d-5c5b-4a5f-a9f5-e5a2f3f54b10".into());
        object
    }

    /// Connects the cluster anew. Returns its cluster object.
    fn connect(tasks: &Tasks, client: u32) -> ObservedCluster {
        let key = NamespacedName::from("east");
        let revision: ConnectedAt = tasks.provider().set_client(&key, client).unwrap();
        ObservedCluster { key, revision: Some(revision) }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_task_that_is_aborted_while_it_is_polled_sends_before_its_successor_is_built() {
        let (tasks, log) = (Tasks::new(FakeClientProvider::empty()), Arc::new(Mutex::new(Vec::new())));
        let (polled, in_poll) = tokio::sync::oneshot::channel();
        let (release, released) = mpsc::channel::<()>();
        let first = {
            let log = Arc::clone(&log);
            move |client: u32| async move {
                polled.send(()).unwrap();
                released.recv().unwrap(); // blocks its thread, as a long poll does
                log.lock().unwrap().push(client);
                pending::<()>().await;
            }
        };
        let second = |log: &Arc<Mutex<Vec<u32>>>| {
            let log = Arc::clone(log);
            BoundTask::build(move |client| {
                log.lock().unwrap().push(client);
                async {}
            })
        };
        let old = tasks.get_or_build(&object(), &connect(&tasks, 1), BoundTask::build(first)).await.unwrap();
        in_poll.await.unwrap();

        let (object, replaced) = (object(), connect(&tasks, 2));
        let mut building = Box::pin(tasks.get_or_build(&object, &replaced, second(&log)));
        assert!(building.as_mut().now_or_never().is_none(), "the old task is in a poll");
        assert!(!old.is_finished() && log.lock().unwrap().is_empty());
        release.send(()).unwrap();
        building.await.unwrap();
        assert!(old.is_finished());
        assert_eq!(*log.lock().unwrap(), [1, 2]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_many_tasks_that_replace_each_other_one_is_polled_at_a_time() {
        let (tasks, object) = (Tasks::new(FakeClientProvider::empty()), object());
        let (current, overlaps) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        for client in 1..=200 {
            let (started, start) = tokio::sync::oneshot::channel();
            let (current, overlaps_of_task) = (Arc::clone(&current), Arc::clone(&overlaps));
            let task = move |client| async move {
                current.store(client, SeqCst);
                started.send(()).unwrap();
                loop {
                    // So long that a poll usually outlasts the abort.
                    for _ in 0..10_000 {
                        overlaps_of_task.fetch_add(u32::from(current.load(SeqCst) != client), SeqCst);
                    }
                    tokio::task::yield_now().await;
                }
            };
            let cluster = connect(&tasks, client);
            tasks.get_or_build(&object, &cluster, BoundTask::build(task)).await.unwrap();
            start.await.unwrap();
            if client % 3 == 0 {
                tasks.forget(&object);
            }
        }
        assert_eq!(overlaps.load(SeqCst), 0, "a task was polled beside its successor");
    }

    #[tokio::test]
    async fn a_task_that_panics_is_finished_and_logged() {
        let errors = Errors::default();
        let _subscribed = tracing::subscriber::set_default(errors.clone());
        let task = BoundTask::spawn(async { std::panic::resume_unwind(Box::new("on purpose")) });
        task.ended().await;
        assert_eq!((task.is_finished(), errors.count()), (true, 1));
    }

    #[tokio::test]
    async fn a_dropped_task_ends_and_one_that_ended_by_itself_is_finished() {
        let (held, dropped) = tokio::sync::oneshot::channel::<()>();
        drop(BoundTask::spawn(async move {
            pending::<()>().await;
            drop(held);
        }));
        dropped.await.unwrap_err();

        let task = BoundTask::spawn(async {});
        task.ended.clone().await;
        assert!(task.is_finished());
    }
}
