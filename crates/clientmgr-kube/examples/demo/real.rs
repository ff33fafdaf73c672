//! Real clusters, reading only: connects each context, watches namespaces through bound states, a line per change.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clientmgr_core::{BoundStates, ObservedCluster};
use clientmgr_kube::{BoundState, Endpoint, Fleet, KubeconfigProblem, NamespacedName, contexts, read_kubeconfig_from};
use futures::StreamExt;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::{chain, say};

const CHECKED_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[from] KubeconfigProblem),
    #[error("the kubeconfig has no contexts: there is nothing to watch")]
    NoContexts,
    #[error("the kubeconfig has no context {0:?}")]
    NoSuchContext(String),
}

/// What is told of a cluster, for each of its changes.
type Report = Arc<dyn Fn(String) + Send + Sync>;

pub(crate) async fn run(path: &Path, chosen: &[String], stop: impl Future<Output = ()>) -> Result<(), Failure> {
    watch_all(path, chosen, Arc::new(say::<String>), stop).await
}

pub(crate) async fn watch_all(
    path: &Path,
    chosen: &[String],
    report: Report,
    stop: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let kubeconfig = read_kubeconfig_from(path)?;
    let known: Vec<&str> = contexts(&kubeconfig).collect();
    if let Some(missing) = chosen.iter().find(|chosen| !known.contains(&chosen.as_str())) {
        return Err(Failure::NoSuchContext(missing.clone()));
    }
    let contexts: Vec<_> =
        known.into_iter().filter(|name| chosen.is_empty() || chosen.iter().any(|c| c == name)).collect();
    if contexts.is_empty() {
        return Err(Failure::NoContexts);
    }

    let fleet = Fleet::builder().build();
    let watches = BoundStates::new(fleet.clone());
    let follow_each = join_all(contexts.into_iter().map(|context| {
        let cluster = NamespacedName::cluster_scoped(context);
        fleet.upsert(cluster.clone(), Endpoint::from_kubeconfig(&kubeconfig, context));
        follow(&fleet, &watches, cluster, &report)
    }));
    tokio::select! {
        _ = follow_each => {}
        () = stop => {}
    }
    Ok(())
}

/// Follows one cluster: checks it now and then, and keeps its watch on the connection that is current.
async fn follow(
    fleet: &Fleet,
    watches: &BoundStates<Fleet, NamespacedName, NamespaceWatch>,
    cluster: NamespacedName,
    report: &Report,
) {
    let mut last = None;
    let mut ticks = interval(CHECKED_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if fleet.status(&cluster).is_some_and(|status| status.connected_at().is_some()) {
            // Takes a dead connection out of service. What it found comes out of `connect`.
            _ = fleet.check(&cluster).await;
        }
        let connected = fleet.connect(&cluster).await;
        let now = match &connected {
            Ok(connected_at) => format!("connected, revision {connected_at}"),
            Err(error) => chain(error),
        };
        if last.as_ref() != Some(&now) {
            report(format!("{cluster}: {now}"));
            last = Some(now);
        }
        let seen = ObservedCluster { key: cluster.clone(), revision: connected.ok() };
        let build = |client| NamespaceWatch::start(client, cluster.clone(), Arc::clone(report));
        // Without a connection there is no watch; why was reported above.
        let _ = watches.get_or_build(&cluster, &seen, build).await;
    }
}

struct NamespaceWatch(AbortHandle);

impl NamespaceWatch {
    fn start(client: Client, cluster: NamespacedName, report: Report) -> std::future::Ready<Result<Self, Infallible>> {
        let namespaces = watcher(Api::<Namespace>::all(client), watcher::Config::default()).default_backoff();
        let watch = tokio::spawn(namespaces.for_each(move |event| {
            let change = match event {
                Ok(Event::InitApply(namespace)) => Some(format!("namespace {} is there", namespace.name_any())),
                Ok(Event::Apply(namespace)) => Some(format!("namespace {} changed", namespace.name_any())),
                Ok(Event::Delete(namespace)) => Some(format!("namespace {} is gone", namespace.name_any())),
                Ok(Event::Init | Event::InitDone) => None,
                Err(error) => Some(format!("watch: {}", chain(&error))),
            };
            if let Some(change) = change {
                report(format!("{cluster}: {change}"));
            }
            std::future::ready(())
        }));
        std::future::ready(Ok(Self(watch.abort_handle())))
    }
}

impl BoundState for NamespaceWatch {
    fn teardown(&self) {
        self.0.abort();
    }
}

impl Drop for NamespaceWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}
