//! The rights on each page of the documentation are those that its source needs: no fewer, and no more.

use std::collections::BTreeSet;
use std::time::Duration;

use clientmgr_fake::apiserver::{Requests, TestServer};
use clientmgr_kube::Fleet;
use clientmgr_runtime::source::{
    AccessProviders, ArgoCdClusters, ClusterApi, ClusterProfiles, KubeconfigSecrets, SourceEvent, Sources,
};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use kube::Client;
use serde_json::Value;

use super::fixture::definition;

/// A group, a resource and a verb.
type Right = (String, String, String);

/// Starts a source on a hub.
type Start = Box<dyn FnOnce(Client) -> BoxStream<'static, SourceEvent>>;

/// The rights in the role that a page shows.
fn documented(page: &str) -> BTreeSet<Right> {
    let (_, role) = page.split_once("```yaml\n").unwrap();
    let role: Value = serde_saphyr::from_str(role.split("```").next().unwrap()).unwrap();
    let texts = |rule: &Value, field: &str| -> Vec<String> {
        rule[field].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut rights = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in texts(rule, "apiGroups") {
            for resource in texts(rule, "resources") {
                rights.extend(texts(rule, "verbs").into_iter().map(|verb| (group.clone(), resource.clone(), verb)));
            }
        }
    }
    rights
}

/// The group and the resource that a path names.
fn resource(path: &str) -> (String, String) {
    let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
    let (group, rest) = if parts[0] == "api" { ("", &parts[2..]) } else { (parts[1], &parts[3..]) };
    let plural = if rest[0] == "namespaces" && rest.len() > 2 { rest[2] } else { rest[0] };
    (group.to_owned(), plural.to_owned())
}

#[tokio::test]
async fn each_source_uses_the_rights_that_its_page_lists_and_no_others() {
    let clusters = definition("cluster.x-k8s.io", "v1beta2", "Cluster", "clusters");
    let profiles = definition("multicluster.x-k8s.io", "v1alpha2", "ClusterProfile", "clusterprofiles");
    let hub = TestServer::builder().install(clusters).install(profiles).start().await.unwrap();
    let none = AccessProviders::from_json(br#"{"providers":[]}"#).unwrap();
    let sources: [(&str, &str, Start); 4] = [
        ("secrets", include_str!("../../../../../docs/sources/kubeconfig-secrets.md"), {
            Box::new(|hub| KubeconfigSecrets::multicluster_runtime(hub).watch().boxed())
        }),
        ("argo-cd", include_str!("../../../../../docs/sources/argo-cd.md"), {
            Box::new(|hub| ArgoCdClusters::new(hub).watch().boxed())
        }),
        ("cluster-api", include_str!("../../../../../docs/sources/cluster-api.md"), {
            Box::new(|hub| ClusterApi::new(hub).watch().boxed())
        }),
        ("profiles", include_str!("../../../../../docs/sources/cluster-profile.md"), {
            Box::new(|hub| ClusterProfiles::new(hub, none).watch().boxed())
        }),
    ];
    for (user, page, source) in sources {
        let client = hub.client_for(&hub.issue_token(user)).await.unwrap();
        let running = Sources::new(Fleet::new()).source(user, source(client)).spawn();
        let expected = documented(page);
        let used = || -> BTreeSet<Right> {
            let requests = hub.requests_matching(Requests::any().user(user));
            let (resources, others): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.is_resource());
            // Every authenticated user may read the discovery.
            assert!(others.iter().all(|request| request.method == "GET" && request.path().starts_with("/apis/")));
            let right = |path: &str, verb: &str| {
                let (group, plural) = resource(path);
                (group, plural, verb.to_owned())
            };
            resources.iter().map(|request| right(request.path(), request.verb())).collect()
        };
        let watched = async {
            while used().len() < expected.len() {
                tokio::task::yield_now().await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(20), watched).await.is_ok(), "{user}: {:?}", used());
        assert_eq!(used(), expected, "{user}");
        running.shutdown().await;
    }
}
