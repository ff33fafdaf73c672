//! The hub and the remote servers, in a process of their own, so that their memory and their work are not counted. The
//! bench asks them by lines on a pipe.

#![expect(unreachable_pub, reason = "a module of a bench, which has no public interface")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use clientmgr_fake::apiserver::{Loopback, Marker, Requests, TestServer};
use clientmgr_runtime::cluster::Cluster;
use futures::future::{join_all, try_join_all};
use kube::CustomResourceExt as _;
use kube::config::Kubeconfig;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const CHILD: &str = "CLIENTMGR_BENCH_SERVERS";

/// The remote servers' logs are only asked who sent the last request.
const REMOTE_LOG: usize = 64;

/// What the child is asked. It answers each with one line of JSON.
#[derive(Serialize, Deserialize)]
enum Ask {
    /// Count the hub's requests from now on.
    Mark,
    /// Which requests the hub got since then.
    Requests,
    /// A kubeconfig of a remote server for a user.
    Token { remote: usize, user: String },
    /// The user of the last request of a remote server.
    LastUser { remote: usize },
    /// Stop the first remote servers.
    Stop { remotes: usize },
    /// Start them again.
    Start { remotes: usize },
}

#[derive(Serialize, Deserialize)]
struct Addresses {
    hub: Kubeconfig,
    remotes: Vec<Kubeconfig>,
}

/// The servers. They end with this value.
pub struct Servers {
    addresses: Addresses,
    process: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Servers {
    /// Starts this program again, as a hub and `remotes` servers.
    pub fn start(remotes: usize) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this program has a path"))
            .env(CHILD, remotes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let mut output = BufReader::new(process.stdout.take().expect("the output is a pipe")).lines();
        let addresses = read(&mut output);
        Self { addresses, input: process.stdin.take(), process, output }
    }

    pub fn hub(&self) -> &Kubeconfig {
        &self.addresses.hub
    }

    pub fn remotes(&self) -> &[Kubeconfig] {
        &self.addresses.remotes
    }

    /// Counts the hub's requests from now on.
    pub fn mark(&mut self) {
        self.ask::<()>(&Ask::Mark);
    }

    /// The requests that the hub got since the mark, by verb and resource.
    pub fn requests(&mut self) -> BTreeMap<String, usize> {
        self.ask(&Ask::Requests)
    }

    /// A kubeconfig of a remote server for this user, with a new token.
    pub fn token(&mut self, remote: usize, user: &str) -> Kubeconfig {
        self.ask(&Ask::Token { remote, user: user.to_owned() })
    }

    pub fn last_user(&mut self, remote: usize) -> Option<String> {
        self.ask(&Ask::LastUser { remote })
    }

    pub fn stop(&mut self, remotes: usize) {
        self.ask::<()>(&Ask::Stop { remotes });
    }

    pub fn restart(&mut self, remotes: usize) {
        self.ask::<()>(&Ask::Start { remotes });
    }

    fn ask<T: DeserializeOwned>(&mut self, ask: &Ask) -> T {
        let mut line = serde_json::to_string(ask).expect("it is JSON");
        line.push('\n');
        let input = self.input.as_mut().expect("it is there until the end");
        input.write_all(line.as_bytes()).expect("the servers read");
        read(&mut self.output)
    }
}

fn read<T: DeserializeOwned>(output: &mut Lines<BufReader<ChildStdout>>) -> T {
    let line = output.next().expect("the servers answer").expect("text");
    serde_json::from_str(&line).expect("what was asked for")
}

impl Drop for Servers {
    fn drop(&mut self) {
        // They end when their input does; then there is nothing to kill.
        drop(self.input.take());
        let _ = self.process.wait();
    }
}

/// Serves until the input ends, if this process was started as the servers. Returns whether it was.
pub fn serve_if_child() -> bool {
    let Ok(remotes) = std::env::var(CHILD) else { return false };
    serve(remotes.parse().expect("a number"));
    true
}

#[tokio::main]
async fn serve(count: usize) {
    let hub = TestServer::builder().name("hub").install(Cluster::crd()).start().await.expect("the hub starts");
    let start = |number| TestServer::builder().name(format!("remote-{number}")).log_capacity(REMOTE_LOG).start();
    let remotes = try_join_all((0..count).map(start)).await.expect("the servers start");
    let kubeconfigs = remotes.iter().map(TestServer::kubeconfig).collect();
    answer(&Addresses { hub: hub.kubeconfig(), remotes: kubeconfigs });

    let (lines, mut read) = tokio::sync::mpsc::unbounded_channel();
    let reading = tokio::task::spawn_blocking(move || {
        for line in std::io::stdin().lines() {
            lines.send(line.expect("text")).expect("the servers run");
        }
    });
    let mut marker = hub.marker();
    while let Some(line) = read.recv().await {
        match serde_json::from_str(&line).expect("a question") {
            Ask::Mark => {
                marker = hub.marker();
                answer(&());
            }
            Ask::Requests => answer(&count_requests(&hub, marker)),
            Ask::Token { remote, user } => {
                let remote = &remotes[remote];
                answer(&remote.kubeconfig_for(&remote.issue_token(user)));
            }
            Ask::LastUser { remote } => {
                answer(&remotes[remote].requests().last().and_then(|request| request.user.clone()));
            }
            Ask::Stop { remotes: count } => {
                join_all(remotes[..count].iter().map(TestServer::<Loopback>::stop)).await;
                answer(&());
            }
            Ask::Start { remotes: count } => {
                try_join_all(remotes[..count].iter().map(TestServer::<Loopback>::start))
                    .await
                    .expect("the servers start again");
                answer(&());
            }
        }
    }
    reading.await.expect("reading does not panic");
}

fn count_requests(hub: &TestServer, since: Marker) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in hub.requests_matching(Requests::any().since(since)) {
        let name = [Some(request.verb()), Some(request.resource()), request.subresource()];
        let name = name.into_iter().flatten().collect::<Vec<_>>().join(" ");
        *counts.entry(name).or_default() += 1;
    }
    counts
}

#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn answer(answer: &impl Serialize) {
    println!("{}", serde_json::to_string(answer).expect("it is JSON"));
}
