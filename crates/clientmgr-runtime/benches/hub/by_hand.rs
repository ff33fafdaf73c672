//! What a program does that uses the Clusters without the controller: it lists them and their Secrets, builds a client for
//! each, makes a request, and writes a status.

#![expect(unreachable_pub, reason = "a module of a bench, which has no public interface")]

use std::collections::HashMap;

use clientmgr_runtime::cluster::{Cluster, ConnectionKind};
use futures::future::join_all;
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, Patch, PatchParams};
use kube::config::Kubeconfig;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use crate::{AT_ONCE, client};

/// What such a program holds: the Clusters, and a client of each.
pub struct ByHand {
    _clusters: Vec<Cluster>,
    _clients: Vec<Client>,
}

pub async fn connect(hub: &Client) -> ByHand {
    let everything = ListParams::default();
    let clusters = Api::<Cluster>::default_namespaced(hub.clone()).list(&everything).await.expect("a list").items;
    let secrets = Api::<Secret>::default_namespaced(hub.clone()).list(&everything).await.expect("a list").items;
    let secrets: HashMap<String, Secret> =
        secrets.into_iter().map(|secret| (secret.name_unchecked(), secret)).collect();
    let connecting = clusters.iter().map(async |cluster| {
        let Some(ConnectionKind::Kubeconfig(kubeconfig)) = cluster.spec.connection.kind() else {
            panic!("a Cluster of this bench is connected by a Secret")
        };
        let data = secrets[&kubeconfig.secret_ref.name].data.as_ref().expect("the Secret has data");
        let text = str::from_utf8(&data[&kubeconfig.secret_ref.key].0).expect("text");
        let connected = client(&Kubeconfig::from_yaml(text).expect("a kubeconfig")).await;
        connected.apiserver_version().await.expect("the remote server answers");
        connected
    });
    let clients = join_all(connecting).await;
    ByHand { _clusters: clusters, _clients: clients }
}

/// Writes a status to each Cluster, as long as the controller's.
pub async fn write(hub: &Client) {
    let clusters: Api<Cluster> = Api::default_namespaced(hub.clone());
    let list = clusters.list(&ListParams::default()).await.expect("a list").items;
    let writing = list.into_iter().map(async |cluster| {
        let mut status = cluster.status.clone().expect("the controller wrote it");
        status.version = Some("written by hand".to_owned());
        let patch = json!({
            "apiVersion": "clientmgr.dev/v1alpha1", "kind": "Cluster", "status": status,
        });
        let parameters = PatchParams::apply("by-hand").force();
        clusters.patch_status(&cluster.name_unchecked(), &parameters, &Patch::Apply(patch)).await
    });
    let written = stream::iter(writing).buffer_unordered(AT_ONCE);
    written.for_each(|written| async { drop(written.expect("the hub stores it")) }).await;
}
