//! [`Handle`]: a switch, and the one `kube::Client` over it.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use kube::Client;
use tokio::runtime;

use super::switch::Switch;

/// A switch and its client. The client takes 11 KiB and a task, so it is made when it is first asked for. Clones share it.
#[derive(Clone)]
pub(crate) struct Handle {
    inner: Arc<Inner>,
    valid_until: Option<Timestamp>,
}

struct Inner {
    switch: Arc<Switch>,
    default_namespace: String,
    /// Where the task of the client runs.
    runtime: runtime::Handle,
    client: OnceLock<Client>,
}

impl Handle {
    /// A handle whose client runs on the current runtime.
    pub(crate) fn new(switch: Arc<Switch>, default_namespace: &str) -> Self {
        let (default_namespace, runtime) = (default_namespace.to_owned(), runtime::Handle::current());
        Self {
            inner: Arc::new(Inner { switch, default_namespace, runtime, client: OnceLock::new() }),
            valid_until: None,
        }
    }

    /// The same client, which says that its credentials end at `valid_until`.
    pub(crate) fn with_valid_until(self, valid_until: Option<Timestamp>) -> Self {
        Self { valid_until, ..self }
    }

    pub(crate) fn switch(&self) -> &Arc<Switch> {
        &self.inner.switch
    }

    pub(crate) fn default_namespace(&self) -> &str {
        &self.inner.default_namespace
    }

    /// The client; none where it was not made before the fleet stopped. All calls return clones of one. Making it may run
    /// code of a tracing subscriber: hold no lock.
    pub(crate) fn client(&self) -> Option<Client> {
        let Inner { switch, default_namespace, runtime, client } = &*self.inner;
        if client.get().is_none() {
            let _within = runtime.enter();
            let made = switch.client(default_namespace)?;
            // Fails where another thread was faster.
            let _ = client.set(made);
        }
        Some(client.get()?.clone().with_valid_until(self.valid_until))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clientmgr_core::{ConnectedAt, NamespacedName};
    use futures::future::{BoxFuture, FutureExt, ready};
    use tokio::runtime::{self, Runtime};

    use super::Handle;
    use crate::client::{CredentialRequests, Settings, Switch};
    use crate::work::Tasks;

    struct NoCredentials;

    impl CredentialRequests for NoCredentials {
        fn unauthorized(&self, _: u64) -> BoxFuture<'static, bool> {
            ready(false).boxed()
        }
    }

    fn handle(default_namespace: &str) -> Handle {
        handle_of(default_namespace, &Tasks::default())
    }

    fn handle_of(default_namespace: &str, tasks: &Tasks) -> Handle {
        let (cluster, revision) = (NamespacedName::cluster_scoped("east"), ConnectedAt::now());
        let settings = Settings { tasks: tasks.clone(), ..Settings::default() };
        Handle::new(Switch::new(cluster, revision, Arc::new(NoCredentials), &settings), default_namespace)
    }

    fn tasks(runtime: &runtime::Handle) -> usize {
        runtime.metrics().num_alive_tasks()
    }

    #[test]
    fn a_client_is_made_once_and_not_before_it_is_asked_for() {
        // The caller need not run within a runtime.
        let runtime = Runtime::new().unwrap();
        let handle = runtime.block_on(async { handle("default") });
        assert_eq!(tasks(runtime.handle()), 0);
        let _clients = [handle.client().unwrap(), handle.clone().client().unwrap(), handle.client().unwrap()];
        assert_eq!(tasks(runtime.handle()), 1);
    }

    #[tokio::test]
    async fn no_client_is_made_once_the_fleet_stopped() {
        let tasks = Tasks::default();
        let (early, late) = (handle_of("default", &tasks), handle_of("default", &tasks));
        let client = early.client();
        tasks.stop().await;
        assert!(client.is_some() && early.client().is_some(), "the one that was made stays");
        assert!(late.client().is_none());
    }

    #[tokio::test]
    async fn a_client_has_the_default_namespace_and_says_when_its_credentials_end() {
        let end = "2026-11-27T12:00:00Z".parse().unwrap();
        let handle = handle("team").with_valid_until(Some(end));
        assert_eq!(handle.client().unwrap().default_namespace(), "team");
        assert_eq!(handle.client().unwrap().valid_until(), &Some(end));
        assert_eq!(handle.with_valid_until(None).client().unwrap().valid_until(), &None);
    }
}
