//! An API server in a process of its own, so that its memory and its work are not counted, and the kubeconfigs of many
//! clusters that it stands for.

#![expect(unreachable_pub, reason = "a module of a bench, which has no public interface")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clientmgr_fake::apiserver::{ConnectionFault, Fault, TestServer};
use clientmgr_kube::ClusterConfig;
use kube::config::Kubeconfig;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// How often the flapping server changes.
const FLAP: Duration = Duration::from_millis(100);

const CHILD: &str = "CLIENTMGR_BENCH_SERVER";

/// The users of the server, each with a token of its own.
pub const USERS: [&str; 2] = ["alice", "bob"];

/// The server's process. Ends with this value.
pub struct Server {
    kubeconfigs: Kubeconfigs,
    process: Child,
}

/// What the process prints.
#[derive(Serialize, Deserialize)]
struct Kubeconfigs {
    users: Vec<Kubeconfig>,
    /// A server for each way in which one can hang.
    hanging: Vec<Kubeconfig>,
    /// A server that is ready now and then.
    flapping: Kubeconfig,
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
        &self.kubeconfigs.users[user]
    }

    /// Those of servers that hang, each in another way.
    pub fn hanging(&self) -> &[Kubeconfig] {
        &self.kubeconfigs.hanging
    }

    /// That of a server that is ready now and then.
    pub fn flapping(&self) -> &Kubeconfig {
        &self.kubeconfigs.flapping
    }

    pub fn config(&self, user: usize) -> ClusterConfig {
        config(self.kubeconfig(user))
    }

    /// The kubeconfigs of so many clusters. Each trusts an authority that no other one trusts, as clusters do, so that
    /// they share no TLS configuration and resume none of each other's sessions.
    pub fn clusters(&self, count: usize) -> Vec<Kubeconfig> {
        (0..count).map(|_| with_an_authority_of_its_own(self.kubeconfig(0).clone())).collect()
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Closes all connections, as a server does with those that are idle.
    pub fn close_connections(&mut self) {
        let input = self.process.stdin.as_mut().expect("the input is a pipe");
        input.write_all(b"close\n").expect("the server reads");
    }
}

pub fn config(kubeconfig: &Kubeconfig) -> ClusterConfig {
    ClusterConfig::from_kubeconfig(kubeconfig, kubeconfig.current_context.as_deref().unwrap_or_default())
}

fn with_an_authority_of_its_own(mut kubeconfig: Kubeconfig) -> Kubeconfig {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut parameters = rcgen::CertificateParams::default();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = parameters.self_signed(&key).expect("a certificate").pem();
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        let data = cluster.certificate_authority_data.as_mut().expect("the server's authority");
        let mut bundle = STANDARD.decode(&*data).expect("base64");
        bundle.push(b'\n');
        bundle.extend_from_slice(authority.as_bytes());
        *data = STANDARD.encode(bundle);
    }
    kubeconfig
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
        let (hanging, flapping) = (hanging().await, Arc::new(TestServer::start_default().await.expect("it starts")));
        let kubeconfigs = Kubeconfigs {
            users: USERS.iter().map(|user| server.kubeconfig_for(&server.issue_token(*user))).collect(),
            hanging: hanging.iter().map(TestServer::kubeconfig).chain([half_an_answer(&server).await]).collect(),
            flapping: flapping.kubeconfig(),
        };
        tokio::spawn(flap(flapping));
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

/// Servers that take connections and never answer: before the handshake, after it, and not within an hour.
async fn hanging() -> Vec<TestServer> {
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(TestServer::start_default().await.expect("the server starts"));
    }
    drop(servers[0].inject_on_connect(ConnectionFault::Silent).expect("it may be silent"));
    drop(servers[1].inject(Fault::NeverAnswer));
    drop(servers[2].inject(Fault::Delay(Duration::from_secs(3_600))));
    servers
}

/// The kubeconfig of a server that stops in the middle of each answer.
async fn half_an_answer(server: &TestServer) -> Kubeconfig {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let mut kubeconfig = server.kubeconfig();
    let address = listener.local_addr().expect("it is bound");
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        cluster.server = Some(format!("http://{address}"));
        cluster.certificate_authority_data = None;
    }
    tokio::spawn(async move {
        let half = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"kind\":";
        let mut open = Vec::new();
        while let Ok((mut connection, _)) = listener.accept().await {
            // What the client makes of it is measured elsewhere.
            if connection.read_u8().await.is_ok() && connection.write_all(half).await.is_ok() {
                open.push(connection);
            }
        }
    });
    kubeconfig
}

/// Is ready now and then, until the process ends.
async fn flap(server: Arc<TestServer>) {
    for is_ready in [false, true].into_iter().cycle() {
        tokio::time::sleep(FLAP).await;
        server.set_ready(is_ready);
    }
}
