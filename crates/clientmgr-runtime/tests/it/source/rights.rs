//! The rights on each page of the documentation are those that its source needs: no fewer, and no more.

use std::collections::BTreeSet;
use std::time::Duration;

use clientmgr_fake::apiserver::{Marker, Requests, TestServer};
use clientmgr_kube::Fleet;
use clientmgr_runtime::source::{
    AccessProviders, ArgoCdClusters, ClusterApi, ClusterProfiles, KubeconfigSecrets, SourceEvent, Sources,
};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use kube::Client;
use serde_json::{Value, json};

use super::fixture::definition;

/// A group, a resource and a verb.
type Right = (String, String, String);

/// Starts a source on a hub.
type Start = Box<dyn FnOnce(Client) -> BoxStream<'static, SourceEvent>>;

/// The path of a collection, and an object that it gets.
type Added = (&'static str, Value);

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
    let secret = |name: &str, labels: Value| json!({"metadata": {"name": name, "labels": labels}});
    let sources: [(&str, &str, Start, Vec<Added>); 4] = [
        (
            "secrets",
            include_str!("../../../../../docs/sources/kubeconfig-secrets.md"),
            { Box::new(|hub| KubeconfigSecrets::multicluster_runtime(hub).watch().boxed()) },
            vec![(
                "/api/v1/namespaces/default/secrets",
                secret("a", json!({"sigs.k8s.io/multicluster-runtime-kubeconfig": "true"})),
            )],
        ),
        (
            "argo-cd",
            include_str!("../../../../../docs/sources/argo-cd.md"),
            { Box::new(|hub| ArgoCdClusters::new(hub).watch().boxed()) },
            vec![(
                "/api/v1/namespaces/argocd/secrets",
                secret("b", json!({"argocd.argoproj.io/secret-type": "cluster"})),
            )],
        ),
        (
            "cluster-api",
            include_str!("../../../../../docs/sources/cluster-api.md"),
            { Box::new(|hub| ClusterApi::new(hub).watch().boxed()) },
            vec![
                (
                    "/api/v1/namespaces/default/secrets",
                    secret("c-kubeconfig", json!({"cluster.x-k8s.io/cluster-name": "c"})),
                ),
                (
                    "/apis/cluster.x-k8s.io/v1beta2/namespaces/default/clusters",
                    json!({
                        "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster", "metadata": {"name": "c"},
                        "status": {"initialization": {"controlPlaneInitialized": true}},
                    }),
                ),
            ],
        ),
        (
            "profiles",
            include_str!("../../../../../docs/sources/cluster-profile.md"),
            { Box::new(|hub| ClusterProfiles::new(hub, none).watch().boxed()) },
            vec![(
                "/apis/multicluster.x-k8s.io/v1alpha2/namespaces/default/clusterprofiles",
                json!({
                    "apiVersion": "multicluster.x-k8s.io/v1alpha2", "kind": "ClusterProfile", "metadata": {"name": "d"},
                    "status": {"accessProviders": []},
                }),
            )],
        ),
    ];
    let admin = hub.client().await.unwrap();
    let create = async |(path, object): Added| {
        let request = http::Request::post(path).header("content-type", "application/json");
        admin.request::<Value>(request.body(object.to_string().into_bytes()).unwrap()).await.unwrap();
    };
    create(("/api/v1/namespaces", json!({"metadata": {"name": "argocd"}}))).await;
    for (user, page, source, added) in sources {
        let client = hub.client_for(&hub.issue_token(user)).await.unwrap();
        let start = hub.marker();
        let mut running = Sources::new(Fleet::new()).source(user, source(client)).spawn();
        let expected = documented(page);
        let used = |since: Marker| -> BTreeSet<Right> {
            let requests = hub.requests_matching(Requests::any().user(user).since(since));
            let (resources, others): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.is_resource());
            // Every authenticated user may read the discovery.
            assert!(others.iter().all(|request| request.method == "GET" && request.path().starts_with("/apis/")));
            let right = |path: &str, verb: &str| {
                let (group, plural) = resource(path);
                (group, plural, verb.to_owned())
            };
            resources.iter().map(|request| right(request.path(), request.verb())).collect()
        };
        let uses_all = async |since: Marker, what: &str| {
            let all = async {
                while used(since).len() < expected.len() {
                    tokio::task::yield_now().await;
                }
            };
            let seen = tokio::time::timeout(Duration::from_secs(20), all).await;
            assert!(seen.is_ok(), "{user}, {what}: {:?}", used(since));
        };
        uses_all(start, "the first list").await;
        for object in added {
            create(object).await;
        }
        let changed = async { while running.status().sources[0].clusters == 0 && running.changed().await {} };
        let seen = tokio::time::timeout(Duration::from_secs(20), changed).await;
        assert!(seen.is_ok(), "{user}, a change: {:?}", running.status());
        // The changes since what it has seen are gone: it lists again.
        let relist = hub.marker();
        create(("/api/v1/namespaces/default/configmaps", json!({"metadata": {"name": user}}))).await;
        hub.compact();
        hub.end_watches(&Requests::any().user(user));
        uses_all(relist, "another list").await;
        assert_eq!(used(start), expected, "{user}");
        running.shutdown().await;
    }
}
