//! The reconcile: brings a greeting to its cluster, and takes it away again. Knows neither the fleet nor the hub.

use std::sync::Arc;
use std::time::Duration;

use clientmgr_kube::{BoundError, BoundStates, ClusterObject as _, requeue_after};
use futures::channel::mpsc;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::finalizer;
use kube::{Api, CustomResource, ResourceExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::cluster::Cluster;
use super::member::Member;

pub(crate) const RETRY: Duration = Duration::from_secs(5);
pub(crate) const RESYNC: Duration = Duration::from_secs(300);
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Greeting")]
pub(crate) struct GreetingSpec {
    /// The name of a cluster object.
    pub(crate) cluster: String,
    pub(crate) text: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("a request failed")]
    Kube(#[from] kube::Error),
    #[error("a request took too long")]
    Deadline,
    #[error("there is no member to clean up on")]
    Member(#[from] BoundError<kube::Error>),
    #[error("the finalizer failed")]
    Finalizer(#[from] Box<finalizer::Error<Error>>),
}

pub(crate) struct Context {
    pub(crate) members: BoundStates<Member>,
    pub(crate) changed: mpsc::UnboundedSender<()>,
}

impl Context {
    async fn member(&self, greeting: &Greeting, cluster: &Cluster) -> Result<Arc<Member>, BoundError<kube::Error>> {
        let build = async |client| Ok(Member::start(client, &greeting.name_any(), self.changed.clone()));
        self.members.get_or_build(greeting, cluster, build).await
    }
}

/// Brings a greeting to its cluster.
pub(crate) async fn reconcile(
    greeting: &Greeting,
    cluster: Option<&Cluster>,
    context: &Context,
) -> Result<Action, Error> {
    let Some(cluster) = cluster else {
        context.members.forget(greeting);
        return Ok(Action::await_change()); // if the cluster comes back, its watch brings the greeting
    };
    // The greeting may have named another cluster before.
    let key = cluster.cluster_key();
    context.members.retain(greeting, |known| *known == key);

    let member = match context.member(greeting, cluster).await {
        Ok(member) => member,
        Err(BoundError::Client(error)) => {
            return Ok(requeue_after(&error, RETRY).map_or_else(Action::await_change, Action::requeue));
        }
        Err(BoundError::Build(error)) => return Err(error.into()),
    };
    if member.task.is_finished() {
        // It broke by itself: the next reconcile builds another.
        context.members.discard(greeting, cluster, &member);
        return Ok(Action::requeue(Duration::ZERO));
    }
    let maps: Api<ConfigMap> = Api::default_namespaced(member.client.clone());
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": greeting.name_any() },
        "data": { "text": greeting.spec.text },
    });
    within(maps.patch(&greeting.name_any(), &PatchParams::apply("greeter").force(), &Patch::Apply(map))).await?;
    Ok(Action::requeue(RESYNC))
}

/// Takes a greeting that is being deleted from its cluster, and forgets it.
pub(crate) async fn cleanup(
    greeting: &Greeting,
    cluster: Option<&Cluster>,
    context: &Context,
) -> Result<Action, Error> {
    if let Some(cluster) = cluster {
        // No member, no `Ok`: the finalizer stays, and with it the greeting.
        let member = context.member(greeting, cluster).await?;
        let maps: Api<ConfigMap> = Api::default_namespaced(member.client.clone());
        match within(maps.delete(&greeting.name_any(), &DeleteParams::default())).await {
            Err(Error::Kube(kube::Error::Api(status))) if status.is_not_found() => {}
            outcome => _ = outcome?,
        }
    }
    context.members.forget(greeting);
    Ok(Action::await_change())
}

/// No client here has a timeout for reading.
pub(crate) async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    let answer = tokio::time::timeout(REQUEST_DEADLINE, request).await;
    Ok(answer.map_err(|_| Error::Deadline)??)
}
