//! An API server in a process of its own, so that its memory and its work are not counted.

#![expect(unreachable_pub, reason = "a module of a bench, which has no public interface")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use clientmgr_fake::apiserver::TestServer;
use clientmgr_kube::ClusterConfig;
use kube::config::Kubeconfig;

const CHILD: &str = "CLIENTMGR_BENCH_SERVER";

/// The users of the server, each with a token of its own.
pub const USERS: [&str; 2] = ["alice", "bob"];

/// The server's process. Ends with this value.
pub struct Server {
    kubeconfigs: Vec<Kubeconfig>,
    process: Child,
}

impl Server {
    /// Starts this program again, as a server.
    pub fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this program has a path"))
            .env(CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let mut line = String::new();
        let output = process.stdout.take().expect("the output is a pipe");
        BufReader::new(output).read_line(&mut line).expect("the server prints its kubeconfigs");
        Self { kubeconfigs: serde_json::from_str(&line).expect("kubeconfigs"), process }
    }

    /// The kubeconfig of one of the [`USERS`].
    pub fn kubeconfig(&self, user: usize) -> &Kubeconfig {
        &self.kubeconfigs[user]
    }

    pub fn config(&self, user: usize) -> ClusterConfig {
        let kubeconfig = self.kubeconfig(user);
        ClusterConfig::from_kubeconfig(kubeconfig, kubeconfig.current_context.as_deref().unwrap_or_default())
    }

    /// Closes all connections, as a server does with those that are idle.
    pub fn close_connections(&mut self) {
        let input = self.process.stdin.as_mut().expect("the input is a pipe");
        input.write_all(b"close\n").expect("the server reads");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends when its input does; then there is nothing to kill.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Serves until the input ends, if this process was started as a server. Returns whether it was.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
pub fn serve_if_child() -> bool {
    if std::env::var_os(CHILD).is_none() {
        return false;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let server = TestServer::start_default().await.expect("the server starts");
        let kubeconfigs = USERS.map(|user| server.kubeconfig_for(&server.issue_token(user)));
        println!("{}", serde_json::to_string(&kubeconfigs).expect("a kubeconfig is JSON"));
        let (lines, mut read) = tokio::sync::mpsc::unbounded_channel();
        let reading = tokio::task::spawn_blocking(move || {
            for line in std::io::stdin().lines() {
                lines.send(line.expect("text")).expect("somebody reads");
            }
        });
        while read.recv().await.is_some() {
            server.cut_connections();
        }
        reading.await.expect("reading does not panic");
        server.shutdown().await;
    });
    true
}
