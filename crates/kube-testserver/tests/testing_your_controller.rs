//! The snippets of `docs/testing-your-controller.md`, and the check that the page quotes them.

mod greeter;

use std::{collections::BTreeSet, error::Error, time::Duration};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::discovery::{ApiGroup, Discovery};
use kube::{
    Api, Client, ResourceExt as _,
    api::{PostParams, WatchEvent, WatchParams},
    runtime::wait::await_condition,
};
use kube_testserver::{Fault, Replacement, Requests, TestServer};

#[tokio::test]
async fn a_map_that_asks_is_greeted() -> Result<(), Box<dyn Error>> {
    let server = TestServer::builder().start().await?;
    let client = server.client().await?;
    let controller = tokio::spawn(greeter::run(client.clone(), |_| {}));

    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    maps.create(&PostParams::default(), &greeter::asking("world")).await?;

    // Not a poll: this returns when the server has answered the controller's patch.
    server.wait_for(Requests::patch("configmaps").name("world").status(200)).await;
    assert_eq!(maps.get("world").await?.annotations()["example.com/greeting"], "hello, world");

    controller.abort();
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn a_greeting_that_fails_is_tried_again() -> Result<(), Box<dyn Error>> {
    let server = TestServer::builder().start().await?;
    let patches = Requests::patch("configmaps");
    let outage = server.inject(Fault::Unavailable.on(patches.clone()).times(2));

    let (report, mut failures) = tokio::sync::mpsc::unbounded_channel();
    let failed = move |error: &kube::Error| _ = report.send(error.to_string());
    let controller = tokio::spawn(greeter::run(server.client().await?, failed));
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client().await?);
    maps.create(&PostParams::default(), &greeter::asking("world")).await?;

    server.wait_for(patches.status(200)).await;
    assert_eq!(outage.hits(), 2);
    assert!(failures.recv().await.is_some(), "the controller has reported it");
    controller.abort();
    Ok(())
}

#[tokio::test]
async fn a_map_without_the_label_is_not_written() -> Result<(), Box<dyn Error>> {
    let server = TestServer::builder().start().await?;
    let greeter = server.issue_token("greeter");
    let controller = tokio::spawn(greeter::run(server.client_for(&greeter).await?, |_| {}));

    let maps: Api<ConfigMap> = Api::default_namespaced(server.client().await?);
    let mut quiet = greeter::asking("quiet");
    quiet.metadata.labels = None;
    maps.create(&PostParams::default(), &quiet).await?;
    maps.create(&PostParams::default(), &greeter::asking("world")).await?;
    server.wait_for(Requests::any().user("greeter").name("world").status(200)).await;

    // Everything that the controller requested.
    let asked: Vec<_> = server
        .requests_matching(Requests::any().with(greeter.fingerprint()))
        .iter()
        .map(|request| (request.verb(), request.name().map(str::to_owned)))
        .collect();
    assert!(asked.iter().all(|(_, name)| name.as_deref() != Some("quiet")), "{asked:?}");
    controller.abort();
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_hour_passes_in_no_time() -> Result<(), Box<dyn Error>> {
    let server = TestServer::builder().start_without_socket()?;
    let token = server.issue_expiring_token("greeter", Duration::from_secs(3600));
    let maps: Api<ConfigMap> = Api::default_namespaced(Client::new(server.service(token), "default"));

    let mut events = maps.watch(&WatchParams::default().timeout(290), "0").await?.boxed();
    while let Some(Ok(WatchEvent::Bookmark(_))) = events.next().await {} // the watch ends after 290 seconds
    maps.get_opt("anything").await?;

    tokio::time::advance(Duration::from_secs(3600)).await;
    let refused = maps.get_opt("anything").await.expect_err("the token has expired");
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 401));
    Ok(())
}

#[tokio::test]
async fn one_cluster_down_is_no_reason_to_stop() -> Result<(), Box<dyn Error>> {
    let east = TestServer::builder().name("east").start().await?;
    let west = TestServer::builder().name("west").start().await?;
    let controllers = [
        tokio::spawn(greeter::run(east.client().await?, |_| {})),
        tokio::spawn(greeter::run(west.client().await?, |_| {})),
    ];

    east.stop().await; // its port refuses from now on; `start()` brings it back with its content
    let maps: Api<ConfigMap> = Api::default_namespaced(west.client().await?);
    maps.create(&PostParams::default(), &greeter::asking("world")).await?;
    west.wait_for(Requests::any().verb("patch").status(200)).await;

    controllers.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}

#[tokio::test]
async fn a_recreated_cluster_is_another_one() -> Result<(), Box<dyn Error>> {
    let server = TestServer::builder().start().await?;
    let namespaces: Api<Namespace> = Api::all(server.client().await?);
    let before = namespaces.get("kube-system").await?.uid();

    server.replace(Replacement::SameCa)?;

    let after = namespaces.get("kube-system").await?.uid();
    assert_ne!(before, after, "same address, same credentials, another cluster");
    Ok(())
}

#[tokio::test]
async fn a_map_is_greeted_on_either_server() -> Result<(), Box<dyn Error>> {
    let server = TestServer::from_env().await?;
    let controller = tokio::spawn(greeter::run(server.client().await?, |_| {}));

    let maps: Api<ConfigMap> = Api::default_namespaced(server.client().await?);
    maps.create(&PostParams::default(), &greeter::asking("world")).await?;
    let greeted = |map: Option<&ConfigMap>| map.is_some_and(|map| !map.annotations().is_empty());
    await_condition(maps, "world", greeted).await?;

    controller.abort();
    server.shutdown().await;
    Ok(())
}

// The page.

const PAGE: &str = include_str!("../../../docs/testing-your-controller.md");
const README: &str = include_str!("../README.md");
const SOURCES: [&str; 3] = [
    include_str!("testing_your_controller.rs"),
    include_str!("rotation_under_a_running_controller.rs"),
    include_str!("greeter/mod.rs"),
];

/// The blocks of code in the page that are of this language.
fn blocks(language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut rest = PAGE;
    let opening = format!("```{language}\n");
    while let Some((_, after)) = rest.split_once(&opening) {
        let (block, after) = after.split_once("```").expect("a block of code ends");
        blocks.push(block.to_owned());
        rest = after;
    }
    blocks
}

/// Whether these lines follow each other in the text, whatever their indentation.
fn is_in(block: &str, text: &str) -> bool {
    let trimmed = |text: &str| -> Vec<String> { text.lines().map(|line| line.trim().to_owned()).collect() };
    let (block, text) = (trimmed(block), trimmed(text));
    text.windows(block.len()).any(|window| window == block)
}

#[test]
fn every_snippet_of_the_page_is_code_that_runs() {
    let snippets = blocks("rust");
    assert!(snippets.len() >= 8, "{} snippets", snippets.len());
    for snippet in snippets {
        assert!(SOURCES.iter().any(|source| is_in(&snippet, source)), "not in a test:\n{snippet}");
    }
}

#[test]
fn the_page_asks_for_the_present_versions() {
    let [dependencies] = &blocks("toml")[..] else { panic!("one list of dependencies") };
    let version = env!("CARGO_PKG_VERSION").rsplit_once('.').expect("three numbers").0;
    assert!(dependencies.contains(&format!("kube-testserver = {{ version = \"{version}\"")), "{dependencies}");
}

#[tokio::test]
async fn the_readme_names_every_resource_that_is_served() -> Result<(), Box<dyn Error>> {
    let server = TestServer::builder().start().await?;
    let discovery = Discovery::new(server.client().await?).run().await?;
    let served: BTreeSet<String> =
        discovery.groups().flat_map(ApiGroup::recommended_resources).map(|(resource, _)| resource.plural).collect();
    assert!(served.len() > 15, "{served:?}");

    let (_, list) = README.split_once("## What it serves").expect("the page lists what is served");
    let (list, _) = list.split_once("The other built-in ones").expect("the next sentence");
    // Every other part is between backquotes.
    let named: BTreeSet<String> = list.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(named, served);
    server.shutdown().await;
    Ok(())
}
