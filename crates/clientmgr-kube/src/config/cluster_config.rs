//! [`ClusterConfig`]: how to reach a cluster and as whom, as it stands in a kubeconfig. Nothing is read or checked here:
//! connecting does that, and tells what is wrong.

use std::fmt;
use std::sync::Arc;

use kube::Config;
use kube::config::Kubeconfig;

use crate::work::BlockingWorker;

/// How to reach a cluster and as whom. Cheap to clone.
///
/// Files that a kubeconfig names are read, and credential plugins run, each time a connection is made. So a
/// [`reconnect`](crate::Fleet::reconnect) uses what they hold then. What is embedded in the kubeconfig stays as it is.
///
/// # Example
///
/// ```
/// use clientmgr_kube::{ClusterConfig, contexts, kube::config::Kubeconfig};
///
/// let kubeconfig = Kubeconfig::from_yaml(
///     "
///     contexts: [{ name: east, context: { cluster: east, user: me } }]
///     clusters: [{ name: east, cluster: { server: 'https://east.example.com' } }]
///     users: [{ name: me, user: { token: not-told-to-anybody } }]
///     ",
/// )?;
/// let endpoints: Vec<_> = contexts(&kubeconfig).map(|name| ClusterConfig::from_kubeconfig(&kubeconfig, name)).collect();
/// assert_eq!(format!("{endpoints:?}"), r#"[ClusterConfig { context: "east" }]"#);
/// # Ok::<_, clientmgr_kube::kube::config::KubeconfigError>(())
/// ```
#[derive(Clone)]
pub struct ClusterConfig(Arc<Inner>);

struct Inner {
    source: Source,
    lane: BlockingWorker,
}

/// Where an endpoint's configuration comes from.
pub(crate) enum Source {
    /// A context of a kubeconfig that holds nothing else.
    Context { name: String, kubeconfig: Box<Kubeconfig> },
    /// A ready configuration.
    Config(Box<Config>),
}

impl ClusterConfig {
    /// The endpoint that `context` of `kubeconfig` names. Keeps only what belongs to the context.
    ///
    /// Relative paths are taken as they are; [`read_kubeconfig`](crate::read_kubeconfig) and kube's own functions that read a file make them
    /// absolute.
    pub fn from_kubeconfig(kubeconfig: &Kubeconfig, context: &str) -> Self {
        let name = context.to_owned();
        let kubeconfig = Box::new(only(kubeconfig, context));
        Self::new(Source::Context { name, kubeconfig })
    }

    /// The endpoint of a ready configuration: the one inside a cluster, say.
    ///
    /// Its `connect_timeout`, its `read_timeout`, its retries and its `User-Agent` give way to the fleet's. Its
    /// `write_timeout` stays.
    pub fn from_config(config: Config) -> Self {
        Self::new(Source::Config(Box::new(config)))
    }

    fn new(source: Source) -> Self {
        Self(Arc::new(Inner { source, lane: BlockingWorker::new() }))
    }

    pub(crate) fn source(&self) -> &Source {
        &self.0.source
    }

    /// Where this endpoint's blocking work runs, one piece at a time.
    pub(crate) fn lane(&self) -> &BlockingWorker {
        &self.0.lane
    }
}

impl fmt::Debug for ClusterConfig {
    /// The context's name; never what it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut endpoint = f.debug_struct("ClusterConfig");
        match &self.0.source {
            Source::Context { name, .. } => endpoint.field("context", name).finish(),
            Source::Config(_) => endpoint.finish_non_exhaustive(),
        }
    }
}

/// What of `kubeconfig` belongs to `context`. What is missing stays missing.
fn only(kubeconfig: &Kubeconfig, context: &str) -> Kubeconfig {
    let named = kubeconfig.contexts.iter().find(|named| named.name == context);
    let inner = named.and_then(|named| named.context.as_ref());
    let cluster = inner.map(|context| &context.cluster);
    let user = inner.and_then(|context| context.user.as_ref());
    Kubeconfig {
        contexts: named.cloned().into_iter().collect(),
        clusters: kubeconfig.clusters.iter().find(|named| Some(&named.name) == cluster).cloned().into_iter().collect(),
        auth_infos: kubeconfig.auth_infos.iter().find(|named| Some(&named.name) == user).cloned().into_iter().collect(),
        ..Kubeconfig::default()
    }
}

/// The names of the contexts in `kubeconfig`, in its order.
pub fn contexts(kubeconfig: &Kubeconfig) -> impl Iterator<Item = &str> {
    kubeconfig.contexts.iter().map(|named| named.name.as_str())
}
