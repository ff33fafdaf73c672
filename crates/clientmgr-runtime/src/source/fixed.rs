//! Clusters that are known when the program starts: a static list, and the cluster that the program runs in.

use clientmgr_kube::{ClusterConfig, NamespacedName};
use futures::stream::{self, Stream};

use super::error::SourceError;
use super::event::SourceEvent;

/// Returns a source of clusters that do not change.
///
/// # Examples
///
/// ```
/// use clientmgr_kube::{ClusterConfig, Fleet, kube::config::Kubeconfig};
/// use clientmgr_runtime::source::{Sources, static_clusters};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let east = ClusterConfig::from_kubeconfig(&Kubeconfig::default(), "east");
/// let fleet = Fleet::new();
/// let mut sources = Sources::new(fleet.clone()).source("list", static_clusters([("east", east)])).spawn();
/// sources.wait_synced().await.unwrap();
/// assert_eq!(fleet.clusters(), ["east".into()]);
/// # }
/// ```
pub fn static_clusters<K: Into<NamespacedName>>(
    clusters: impl IntoIterator<Item = (K, ClusterConfig)>,
) -> impl Stream<Item = SourceEvent> + Send + 'static {
    let upserts = clusters.into_iter().map(|(cluster, config)| {
        let checked = config.validate().map_err(SourceError::from).map(|()| config);
        SourceEvent::upsert(cluster, checked)
    });
    let events: Vec<_> = upserts.chain([SourceEvent::Synced]).collect();
    stream::iter(events)
}

/// Returns a source of the cluster that the program runs in, under the key `cluster`.
///
/// Outside a Pod the cluster is there as well, and its snapshot says what is missing.
pub fn local_cluster(cluster: impl Into<NamespacedName>) -> impl Stream<Item = SourceEvent> + Send + 'static {
    let config = ClusterConfig::in_cluster().map_err(SourceError::from);
    stream::iter([SourceEvent::upsert(cluster, config), SourceEvent::Synced])
}
