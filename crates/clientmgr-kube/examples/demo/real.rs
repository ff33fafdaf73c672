//! Real clusters, reading only: connects each context, watches namespaces through bound states, prints a line per change.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use clientmgr_core::BoundStates;
use clientmgr_kube::{
    BoundTask, ClusterChanges, ClusterConfig, ClusterSnapshot, ConnectError, ConnectionState, Fleet, NamespacedName,
    Revoked, contexts, read_kubeconfig_from,
};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};

use crate::{chain, say};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[from] ConnectError),
    #[error("the kubeconfig has no contexts: there is nothing to watch")]
    NoContexts,
    #[error("the kubeconfig has no context {0:?}")]
    NoSuchContext(String),
}

/// Receives a line for each change.
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

    let fleet = Fleet::new();
    for context in contexts {
        fleet.upsert(context, ClusterConfig::from_kubeconfig(&kubeconfig, context));
    }
    tokio::select! {
        () = follow(&fleet, &report) => {}
        () = stop => {}
    }
    fleet.shutdown().await;
    Ok(())
}

/// Reports each change of a cluster, and keeps a watch on each cluster that was ever connected.
async fn follow(fleet: &Fleet, report: &Report) {
    let watches = BoundStates::<_, NamespacedName, _>::new(fleet.clone());
    let (mut events, mut reported) = (fleet.events(), HashMap::new());
    while let Some(changes) = events.next().await {
        let changed = match changes {
            ClusterChanges::Changed(changed) => changed,
            _ => fleet.clusters(),
        };
        for snapshot in changed.iter().filter_map(|cluster| fleet.snapshot(cluster)) {
            let (cluster, line) = (snapshot.cluster.clone(), describe(&snapshot));
            if reported.get(&cluster) != Some(&line) {
                report(format!("{cluster}: {line}"));
                reported.insert(cluster.clone(), line);
            }
            let build = BoundTask::build(|client| watch(client, cluster.clone(), Arc::clone(report)));
            // Without a connection there is no watch; why was reported above.
            let _ = watches.get_or_build(&cluster, &snapshot, build).await;
        }
    }
}

fn describe(snapshot: &ClusterSnapshot) -> String {
    match (&snapshot.state, &snapshot.error, snapshot.connected_at) {
        (ConnectionState::Connected, _, Some(revision)) => format!("connected, revision {revision}"),
        (_, Some(error), _) => chain(error),
        _ => "connecting".to_owned(),
    }
}

async fn watch(client: Client, cluster: NamespacedName, report: Report) {
    let mut namespaces = watcher(Api::<Namespace>::all(client), watcher::Config::default()).default_backoff().boxed();
    while let Some(event) = namespaces.next().await {
        let change = match event {
            Ok(Event::InitApply(namespace)) => format!("namespace {} exists", namespace.name_any()),
            Ok(Event::Apply(namespace)) => format!("namespace {} changed", namespace.name_any()),
            Ok(Event::Delete(namespace)) => format!("namespace {} was deleted", namespace.name_any()),
            Ok(Event::Init | Event::InitDone) => continue,
            Err(error) if Revoked::find(&error).is_some() => return,
            Err(error) => format!("watch: {}", chain(&error)),
        };
        report(format!("{cluster}: {change}"));
    }
}
