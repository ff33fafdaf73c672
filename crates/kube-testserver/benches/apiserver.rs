//! The speed of the in-process API server: requests a second, one change to 1,000 watchers, servers started.
//!
//! Clients and servers share the machine's cores, as in a test. Run it by `cargo xtask bench`. What objects weigh is
//! measured by `apiserver_memory`, since counting would slow this one.

#[path = "support/object.rs"]
mod object;
#[path = "../../../benches/table.rs"]
mod table;

use std::{
    error::Error,
    io::{BufRead as _, BufReader},
    ops::Bound,
    process::{Command, Stdio},
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
use serde_json::json;
use tokio::sync::mpsc;

use object::map;
use table::{Row, report};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How many requests are under way at once.
const AT_ONCE: usize = 16;
const REQUESTS: usize = 8_000;
const WATCHERS: usize = 1_000;
/// Each is two open files in this process, of which systems allow 1,024 or fewer unasked.
const WATCHERS_ON_SOCKETS: usize = 200;
const CHANGES: usize = 30;
const SERVERS: usize = 50;
const ROUNDS: usize = 5;
/// A server starts within so many milliseconds, in the process or as a program.
const START_AT_MOST: f64 = 10.0;

/// The rate of reads by that of requests that do nothing.
const READS_A_FLOOR_AT_LEAST: f64 = 0.3;
/// The rate of writes by that of reads.
const WRITES_A_READ_AT_LEAST: f64 = 0.25;
/// The time until all watchers have a change, by that of one watcher.
const FAN_OUT_AT_MOST: f64 = 150.0;
const FAN_OUT_ON_SOCKETS_AT_MOST: f64 = 60.0;

fn main() -> Outcome<()> {
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let mut rows = runtime.block_on(async {
        let mut rows = Vec::from(starts().await?);
        rows.extend(rates().await?);
        rows.extend(fan_out().await?);
        Outcome::Ok(rows)
    })?;
    rows.push(program_start()?);
    report("apiserver", &rows);
    Ok(())
}

/// Requests a second of several kinds, over TLS, over plain HTTP and without a socket.
async fn rates() -> Outcome<Vec<Row>> {
    let tls = TestServer::start_default().await?;
    let plain = TestServer::builder().plain_http().start().await?;
    let bare = TestServer::builder().start_without_socket()?;
    let mut rows = Vec::new();
    for (name, client) in
        [("TLS", tls.client().await?), ("plain HTTP", plain.client().await?), ("no socket", bare.client())]
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
        // Without a socket there is nothing but the server's work, on which the budgets are.
        let is_bare = name == "no socket";
        let least = if is_bare { Bound::Included(READS_A_FLOOR_AT_LEAST) } else { Bound::Unbounded };
        rows.push(Row::new(format!("test server, {name}: get / livez"), "1/s", get, floor, (least, Bound::Unbounded)));
        for (verb, rate) in [("create", create), ("apply", apply), ("list of 100", list)] {
            rows.push(Row::new(format!("test server, {name}: {verb} / livez"), "1/s", rate, floor, ..));
        }
        let writes = [("create", create), ("apply", apply)].into_iter().filter(|_| is_bare);
        rows.extend(writes.map(|(verb, rate)| {
            Row::new(format!("test server, {name}: {verb} / get"), "1/s", rate, get, WRITES_A_READ_AT_LEAST..)
        }));
    }
    Ok(rows)
}

async fn livez(client: Client) -> Outcome<()> {
    client.request_text(http::Request::get("/livez").body(Vec::new())?).await?;
    Ok(())
}

async fn done<T>(request: impl Future<Output = kube::Result<T>>) -> Outcome<()> {
    request.await?;
    Ok(())
}

/// Makes `count` requests, some at once, and returns how many a second there were.
async fn rate<F: Future<Output = Outcome<()>>>(count: usize, request: impl Fn(usize) -> F) -> Outcome<f64> {
    let begun = Instant::now();
    let mut requests = futures::stream::iter((0..count).map(request)).buffer_unordered(AT_ONCE);
    while let Some(answered) = requests.next().await {
        answered?;
    }
    let count = u32::try_from(count)?;
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

/// The time until all watchers have a change.
async fn fan_out() -> Outcome<[Row; 2]> {
    let bare = TestServer::builder().start_without_socket()?;
    let tls = TestServer::start_default().await?;
    let one = change_to(1, || std::future::ready(Ok(bare.client()))).await?;
    let many = change_to(WATCHERS, || std::future::ready(Ok(bare.client()))).await?;
    let one_over_tls = change_to(1, || async { Ok(tls.client().await?) }).await?;
    let many_over_tls = change_to(WATCHERS_ON_SOCKETS, || async { Ok(tls.client().await?) }).await?;
    let row = |what, many, one, most: f64| Row::new(what, "ms", milliseconds(many), milliseconds(one), ..=most);
    Ok([
        row("test server, no socket: one change to 1,000 watchers / to one", many, one, FAN_OUT_AT_MOST),
        row(
            "test server, TLS: one change to 200 watchers / to one",
            many_over_tls,
            one_over_tls,
            FAN_OUT_ON_SOCKETS_AT_MOST,
        ),
    ])
}

/// The median time from a request that changes an object until the last of `count` watchers has the event.
async fn change_to<F: Future<Output = Outcome<Client>>>(count: usize, client: impl Fn() -> F) -> Outcome<Duration> {
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

/// The median times of one start, and of several at once.
async fn starts() -> Outcome<[Row; 2]> {
    let (mut one, mut several) = (Vec::new(), Vec::new());
    for _ in 0..SERVERS {
        let begun = Instant::now();
        let server = TestServer::start_default().await?;
        one.push(begun.elapsed());
        server.shutdown().await;
    }
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let servers = try_join_all((0..SERVERS).map(|_| TestServer::start_default())).await?;
        several.push(begun.elapsed());
        for server in servers {
            server.shutdown().await;
        }
    }
    Ok([
        Row::new("test server: start", "ms", milliseconds(median(one)), None, ..=START_AT_MOST),
        Row::new("test server: start of 50 at once", "ms", milliseconds(median(several)), None, ..=1_000.0),
    ])
}

/// The median time from the start of the program until it has written its kubeconfig and printed its address.
fn program_start() -> Outcome<Row> {
    let directory = tempfile::tempdir()?;
    let kubeconfig = directory.path().join("kubeconfig");
    let mut times = Vec::new();
    for _ in 0..SERVERS {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kube-testserver"));
        command.arg("--kubeconfig").arg(&kubeconfig).stdout(Stdio::piped());
        let begun = Instant::now();
        let mut program = command.spawn()?;
        let mut url = String::new();
        BufReader::new(program.stdout.take().ok_or("it has an output")?).read_line(&mut url)?;
        times.push(begun.elapsed());
        program.kill()?;
        program.wait()?;
        if !std::fs::read_to_string(&kubeconfig)?.contains(url.trim()) {
            return Err(format!("the kubeconfig does not lead to {url}").into());
        }
        std::fs::remove_file(&kubeconfig)?;
    }
    let what = "test server, the program: start to its address and kubeconfig";
    Ok(Row::new(what, "ms", milliseconds(median(times)), None, ..=START_AT_MOST))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
