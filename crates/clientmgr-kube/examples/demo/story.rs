//! What the scenario does in a step: connect a member, change a beacon, wait for what must follow.

use std::sync::Arc;

use clientmgr_fake::apiserver::{CertificateError, ClientError, Credential, StartError, TestServer};
use clientmgr_kube::{ClusterConfig, ConnectError, ConnectedAt, Fleet};
use futures::StreamExt as _;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::task::JoinError;

use crate::api::{Beacon, BeaconSpec, Cluster, ClusterSpec};
use crate::audit::Audit;
use crate::journal::{Event, Journal, Missing};
use crate::status::key;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("an API server did not start")]
    Start(#[from] StartError),
    #[error("the hub has no client")]
    Hub(#[from] ClientError),
    #[error("a certificate could not be issued")]
    Certificate(#[from] CertificateError),
    #[error("a request to a server failed")]
    Request(#[from] kube::Error),
    #[error("a member could not be connected")]
    Connect(#[from] ConnectError),
    #[error("something that must happen did not")]
    Missing(#[from] Missing),
    #[error("a task failed")]
    Task(#[from] JoinError),
    #[error("the story went wrong: {0}")]
    Story(&'static str),
}

/// A member: its server, and the audit of its requests.
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) server: TestServer,
    pub(crate) audit: Audit,
    credential: Option<Credential>,
}

impl Member {
    pub(crate) async fn start(name: &'static str) -> Result<Self, Failure> {
        let server = TestServer::builder().name(name).start().await?;
        Ok(Self { name, server, audit: Audit::of(name), credential: None })
    }
}

pub(crate) struct Story {
    pub(crate) journal: Journal,
    pub(crate) hub: Client,
    pub(crate) fleet: Fleet,
    /// While it is held, no status is written.
    pub(crate) status_gate: Arc<Mutex<()>>,
}

impl Story {
    /// Connects a member, or exchanges its credential in place. Returns the credential of before.
    pub(crate) async fn connect(
        &self,
        member: &mut Member,
        credential: Credential,
    ) -> Result<Option<Credential>, Failure> {
        let kubeconfig = member.server.kubeconfig_for(&credential);
        let context = kubeconfig.current_context.clone().unwrap_or_default();
        let cluster = key(member.name);
        self.fleet.upsert(cluster.clone(), ClusterConfig::from_kubeconfig(&kubeconfig, &context));
        // An attempt that begins after the upsert: then the new credential is in use.
        let revision = self.fleet.reconnect(&cluster).await?;
        member.audit.connected(&member.server, revision, credential.clone());
        Ok(member.credential.replace(credential))
    }

    pub(crate) fn revision(&self, cluster: &str) -> Result<ConnectedAt, Failure> {
        let snapshot = self.fleet.snapshot(key(cluster));
        snapshot.and_then(|snapshot| snapshot.connected_at).ok_or(Failure::Story("a member was never connected"))
    }

    /// The fleet serves the cluster under another revision than `before`.
    pub(crate) async fn until_other_revision(&self, cluster: &str, before: ConnectedAt) -> Result<(), Failure> {
        let mut events = self.fleet.events();
        let served = async {
            while events.next().await.is_some() {
                let snapshot = self.fleet.snapshot(key(cluster));
                if snapshot.is_some_and(|now| now.is_connected() && now.connected_at > Some(before)) {
                    return;
                }
            }
        };
        Ok(self.journal.within_deadline("the other cluster is served under a later revision", served).await?)
    }

    pub(crate) async fn create_cluster(&self, name: &str) -> Result<(), Failure> {
        let clusters = Api::<Cluster>::default_namespaced(self.hub.clone());
        clusters.create(&PostParams::default(), &Cluster::new(name, ClusterSpec {})).await?;
        Ok(())
    }

    pub(crate) async fn create_beacon(&self, name: &str, cluster: &str, message: &str) -> Result<(), Failure> {
        let spec = BeaconSpec { cluster: cluster.to_owned(), message: message.to_owned() };
        let beacon = Beacon { metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }, spec };
        self.beacons().create(&PostParams::default(), &beacon).await?;
        Ok(())
    }

    pub(crate) async fn change_beacon(&self, name: &str, message: &str) -> Result<(), Failure> {
        let patch = Patch::Merge(json!({ "spec": { "message": message } }));
        self.beacons().patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    pub(crate) async fn delete_beacon(&self, name: &str) -> Result<(), Failure> {
        self.beacons().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    fn beacons(&self) -> Api<Beacon> {
        Api::default_namespaced(self.hub.clone())
    }

    /// The beacon's own watch has seen its message on its cluster.
    pub(crate) async fn until_seen(&self, mark: usize, name: &str, text: &str) -> Result<(), Failure> {
        let saw =
            |event: &Event| matches!(event, Event::Saw { beacon, message, .. } if beacon == name && message == text);
        Ok(self.journal.since(mark, &format!("{name}'s watch sees {text:?}"), saw).await?)
    }

    /// The beacon's old state was torn down, and then a new one was built.
    pub(crate) async fn until_rebuilt(&self, mark: usize, name: &str) -> Result<(), Failure> {
        let torn_down = |event: &Event| matches!(event, Event::TornDown { beacon, .. } if beacon == name);
        let built = |event: &Event| matches!(event, Event::Built { beacon, .. } if beacon == name);
        let in_order = |events: &[Event]| {
            let since = &events[mark..];
            since.iter().position(torn_down).is_some_and(|at| since[at..].iter().any(built))
        };
        Ok(self.journal.until(&format!("{name}'s state is torn down and built again"), in_order).await?)
    }

    pub(crate) fn no_reset_since(&self, mark: usize) -> Result<(), Failure> {
        let resets = self.journal.count_since(mark, |event| matches!(event, Event::TornDown { .. }));
        if resets == 0 { Ok(()) } else { Err(Failure::Story("a beacon was reset on the same cluster")) }
    }
}
