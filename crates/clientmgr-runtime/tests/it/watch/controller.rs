//! A kube-runtime controller whose objects read what is on their clusters.

use std::sync::Arc;
use std::time::Duration;

use clientmgr_fake::apiserver::{Replacement, TestServer};
use clientmgr_kube::{ErrorAction as _, Fleet, NamespacedName};
use clientmgr_runtime::requeue::{Dependants, connection_changes};
use clientmgr_runtime::watch::{RemoteWatches, WatchError};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::PostParams;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{reflector, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::sync::watch;

use super::support::map;
use crate::requeue::support::{connected, member, within};

const CLUSTER: &str = "example.com/cluster";

struct Context {
    fleet: Fleet,
    maps: RemoteWatches<Secret, ConfigMap>,
    /// What the last reconcile saw on the cluster.
    seen: watch::Sender<Option<usize>>,
}

async fn reconcile(object: Arc<Secret>, context: Arc<Context>) -> Result<Action, WatchError> {
    let cluster = NamespacedName::from(object.labels()[CLUSTER].as_str());
    let Some(cluster) = context.fleet.snapshot(&cluster) else { return Ok(Action::await_change()) };
    let store = context.maps.store(&object, &cluster).await;
    context.seen.send_replace(store.as_ref().ok().map(reflector::Store::len));
    store?;
    Ok(Action::await_change())
}

/// Runs the controller. Without its triggers, nothing brings a reconcile for a minute.
fn run(hub: Client, fleet: &Fleet) -> watch::Receiver<Option<usize>> {
    let dependants = Dependants::new(|object: &Secret| {
        object.labels().get(CLUSTER).map(|cluster| NamespacedName::from(cluster.as_str()))
    });
    let (maps, triggers) =
        RemoteWatches::new(fleet.clone().into(), Api::all, watcher::Config::default().labels("example.com/owner"), {
            |map: &ConfigMap, _| {
                let owner = map.labels().get("example.com/owner")?;
                Some(ObjectRef::new(owner).within("default"))
            }
        });
    dependants.register(&maps);
    let (seen, seeing) = watch::channel(None);
    let context = Context { fleet: fleet.clone(), maps, seen };
    let objects = watcher::Config::default().labels(CLUSTER);
    let controller = dependants
        .controller(Api::default_namespaced(hub), objects, connection_changes(fleet))
        .reconcile_on(triggers)
        .run(reconcile, |_, error, _| error.action(Duration::from_secs(60)), Arc::new(context));
    tokio::spawn(controller.for_each(|_| async {}));
    seeing
}

#[tokio::test]
async fn a_reconcile_is_brought_by_every_change_on_the_cluster_and_of_it() {
    let (hub, east) = (TestServer::from_env().await.unwrap(), member("east").await);
    let client = hub.client().await.unwrap();
    let secret = json!({ "metadata": { "name": "a", "labels": { CLUSTER: "east" } } });
    let secrets: Api<Secret> = Api::default_namespaced(client.clone());
    secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    let fleet = connected(&[&east]).await;
    let mut seen = run(client, &fleet);
    let mut until = async |expected: Option<usize>| {
        within(seen.wait_for(|seen| *seen == expected)).await.unwrap();
    };

    until(Some(0)).await;
    let create = async |name: &str| {
        let remote: Api<ConfigMap> = Api::default_namespaced(east.client().await.unwrap());
        remote.create(&PostParams::default(), &map(name, "a")).await.unwrap();
    };
    create("m").await;
    until(Some(1)).await;
    create("n").await;
    until(Some(2)).await;
    east.replace(Replacement::SameCa).unwrap();
    until(Some(0)).await;
    create("m").await;
    until(Some(1)).await;
    fleet.shutdown().await;
    hub.shutdown().await;
}
