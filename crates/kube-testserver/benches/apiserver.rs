//! The speed of the in-process API server: requests a second, one change to 1,000 watchers, 50 servers started.
//!
//! Clients and servers share the machine's cores, as in a test. Prints a table and saves it as
//! `target/bench/apiserver.json`. Run it by `cargo xtask bench`. What objects weigh is measured by
//! `apiserver_memory`, since counting would slow this one.

#[path = "support/mod.rs"]
mod support;

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, future::try_join_all};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams, WatchParams},
};
use kube_testserver::TestServer;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use support::{map, report, save};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How many requests are under way at once.
const AT_ONCE: usize = 16;
const REQUESTS: usize = 8_000;
const WATCHERS: usize = 1_000;
/// Each is two open files in this process, of which systems allow 1,024 or fewer unasked.
const WATCHERS_ON_SOCKETS: usize = 200;
const CHANGES: usize = 30;
const SERVERS: usize = 50;
const START_AT_MOST: Duration = Duration::from_secs(1);
const ROUNDS: usize = 5;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let rates = rates().await?;
        let fan_out = fan_out().await?;
        let started = median(starts().await?);
        let holds = started <= START_AT_MOST;
        report(&format!("{SERVERS} servers started   {} ms (≤ {})", started.as_millis(), START_AT_MOST.as_millis()));
        save(
            "apiserver.json",
            &json!({
                "requests_per_second": rates,
                "fan_out": fan_out,
                "start": {"servers": SERVERS, "milliseconds": milliseconds(started)},
                "holds": holds,
            }),
        )?;
        if holds { Ok(()) } else { Err("a budget is broken: see above".into()) }
    })
}

/// Requests a second of several kinds, over TLS, over plain HTTP and without a socket.
async fn rates() -> Outcome<Value> {
    let tls = TestServer::start_default().await?;
    let plain = TestServer::builder().plain_http().start().await?;
    let bare = TestServer::builder().start_without_socket()?;
    let mut all = Map::new();
    for (name, client) in
        [("tls", tls.client().await?), ("plain_http", plain.client().await?), ("no_socket", bare.client())]
    {
        let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
        for index in 0..100 {
            maps.create(&PostParams::default(), &map(&format!("listed-{index}"))).await?;
        }
        let floor = rate(REQUESTS, |_| livez(client.clone())).await?;
        let get = rate(REQUESTS, |_| done(maps.get("listed-0"))).await?;
        let create = rate(REQUESTS, |index| {
            let maps = maps.clone();
            async move { done(maps.create(&PostParams::default(), &map(&format!("made-{index}")))).await }
        })
        .await?;
        let apply = rate(REQUESTS, |index| {
            let maps = maps.clone();
            let wanted = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"},
                "data": {"count": index.to_string()},
            });
            async move {
                let params = PatchParams::apply("bench").force();
                done(maps.patch("applied", &params, &Patch::Apply(wanted))).await
            }
        })
        .await?;
        let few = ListParams::default().limit(100);
        let list = rate(REQUESTS / 10, |_| done(maps.list(&few))).await?;
        report(&format!(
            "requests/s {name:<12} livez {floor:>7.0}   get {get:>7.0} ({:.2} of livez)   create {create:>7.0}   \
             apply {apply:>7.0}   list of 100 {list:>6.0}",
            get / floor
        ));
        let rates = json!({
            "livez": floor, "get": get, "create": create, "apply": apply, "list_of_100": list,
            "get_of_livez": get / floor,
        });
        all.insert(name.to_owned(), rates);
    }
    Ok(all.into())
}

async fn livez(client: Client) -> Outcome<()> {
    client.request_text(http::Request::get("/livez").body(Vec::new())?).await?;
    Ok(())
}

async fn done<T>(request: impl Future<Output = kube::Result<T>>) -> Outcome<()> {
    request.await?;
    Ok(())
}

/// Makes `count` requests, some at once, and tells how many a second there were.
async fn rate<F: Future<Output = Outcome<()>>>(count: usize, request: impl Fn(usize) -> F) -> Outcome<f64> {
    let begun = Instant::now();
    let mut requests = futures::stream::iter((0..count).map(request)).buffer_unordered(AT_ONCE);
    while let Some(answered) = requests.next().await {
        answered?;
    }
    let count = u32::try_from(count)?;
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

/// How long it takes until everybody who watches has heard of a change.
async fn fan_out() -> Outcome<Value> {
    let bare = TestServer::builder().start_without_socket()?;
    let tls = TestServer::start_default().await?;
    let one = told_to(1, || std::future::ready(Ok(bare.client()))).await?;
    let many = told_to(WATCHERS, || std::future::ready(Ok(bare.client()))).await?;
    let on_sockets = told_to(WATCHERS_ON_SOCKETS, || async { Ok(tls.client().await?) }).await?;
    let each = |time: Duration, watchers: usize| -> Outcome<f64> {
        Ok(milliseconds(time) * 1000.0 / f64::from(u32::try_from(watchers)?))
    };
    report(&format!(
        "one change told to     1 watcher {:.3} ms   {WATCHERS} watchers {:.1} ms ({:.1} µs each)   {WATCHERS_ON_SOCKETS} \
         over TLS {:.1} ms ({:.1} µs each)",
        milliseconds(one),
        milliseconds(many),
        each(many, WATCHERS)?,
        milliseconds(on_sockets),
        each(on_sockets, WATCHERS_ON_SOCKETS)?,
    ));
    Ok(json!({
        "one_watcher_ms": milliseconds(one), "watchers": WATCHERS, "ms": milliseconds(many),
        "us_each": each(many, WATCHERS)?, "watchers_over_tls": WATCHERS_ON_SOCKETS,
        "ms_over_tls": milliseconds(on_sockets), "us_each_over_tls": each(on_sockets, WATCHERS_ON_SOCKETS)?,
    }))
}

/// The median time from a request that changes an object to the last of `count` watchers that hears of it.
async fn told_to<F: Future<Output = Outcome<Client>>>(count: usize, client: impl Fn() -> F) -> Outcome<Duration> {
    let maps: Api<ConfigMap> = Api::default_namespaced(client().await?);
    let name = format!("watched-by-{count}");
    let version = maps.create(&PostParams::default(), &map(&name)).await?.metadata.resource_version;
    let version: Arc<str> = version.unwrap_or_default().into();
    let (heard, mut hearing) = mpsc::unbounded_channel();
    let mut watchers = Vec::with_capacity(count);
    for _ in 0..count {
        let maps: Api<ConfigMap> = Api::default_namespaced(client().await?);
        let mut events = maps.watch(&WatchParams::default(), &version).await?.boxed();
        let heard = heard.clone();
        watchers.push(tokio::spawn(async move {
            while let Some(Ok(_)) = events.next().await {
                _ = heard.send(());
            }
        }));
    }
    let mut times = Vec::with_capacity(CHANGES);
    for change in 0..CHANGES {
        let begun = Instant::now();
        let patch = Patch::Merge(json!({"data": {"change": change.to_string()}}));
        maps.patch(&name, &PatchParams::default(), &patch).await?;
        for _ in 0..count {
            hearing.recv().await.ok_or("the watchers go on")?;
        }
        times.push(begun.elapsed());
    }
    watchers.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(median(times))
}

async fn starts() -> Outcome<Vec<Duration>> {
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let servers = try_join_all((0..SERVERS).map(|_| TestServer::start_default())).await?;
        times.push(begun.elapsed());
        for server in servers {
            server.shutdown().await;
        }
    }
    Ok(times)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
