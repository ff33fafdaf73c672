//! Requests that upgrade, as exec, attach and port-forward do: each has a connection to itself, over HTTP/1.1.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use clientmgr_fake::apiserver::{Replacement, TestServer};
use clientmgr_kube::kube::client::Body;
use clientmgr_kube::kube::config::AuthInfo;
use clientmgr_kube::kube::{self, Client};
use clientmgr_kube::{ClusterSnapshot, Fleet, NamespacedName, Revoked, RevokedReason};
use http::header::{CONNECTION, UPGRADE};
use http::{Request, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use crate::support::{fleet_with, holds, kubeconfig_of, losses, served, snapshot, until, within};

/// A door before a server of plain HTTP: takes upgrades itself, echoes what arrives on them, and hands all else on.
struct Door {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    /// The token that upgrades need.
    accepted: Mutex<String>,
    /// The tokens of the upgrades that arrived.
    asked: Mutex<Vec<String>>,
    /// Lets the upgrades go that are refused.
    refuse: Notify,
    /// Closes the streams that are open.
    close: watch::Sender<()>,
}

impl Door {
    async fn before(server: &TestServer, token: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, behind) = (listener.local_addr().unwrap(), server.address());
        let accepted = Mutex::new(token.to_owned());
        let state = State { accepted, asked: Mutex::default(), refuse: Notify::new(), close: watch::Sender::new(()) };
        let state = Arc::new(state);
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((visitor, _)) = listener.accept().await {
                tokio::spawn(take(visitor, behind, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    fn asked(&self) -> Vec<String> {
        self.state.asked.lock().unwrap().clone()
    }
}

async fn take(mut visitor: TcpStream, behind: SocketAddr, state: Arc<State>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if !matches!(visitor.read_buf(&mut head).await, Ok(1..)) {
            return;
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let header = |name: &str| {
        let named = |line: &&str| line.to_ascii_lowercase().starts_with(name);
        text.lines().find(named).map(|line| line[name.len()..].trim().to_owned())
    };
    if header("upgrade:").is_none() {
        let mut host = TcpStream::connect(behind).await.unwrap();
        host.write_all(&head).await.unwrap();
        // However it ends.
        let _ = copy_bidirectional(&mut visitor, &mut host).await;
        return;
    }
    let token = header("authorization: bearer").unwrap_or_default();
    state.asked.lock().unwrap().push(token.clone());
    if *state.accepted.lock().unwrap() != token {
        state.refuse.notified().await;
        visitor.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        return;
    }
    let mut close = state.close.subscribe();
    let accepted = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: SPDY/3.1\r\n\r\n";
    visitor.write_all(accepted).await.unwrap();
    let (mut from, mut to) = visitor.split();
    tokio::select! {
        // However it ends.
        _ = tokio::io::copy(&mut from, &mut to) => {}
        _ = close.changed() => {}
    }
}

/// A fleet of one cluster behind a door, whose user has a token file.
struct Scene {
    server: TestServer,
    door: Door,
    fleet: Fleet,
    east: NamespacedName,
    directory: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let server = TestServer::builder().name("east").plain_http().start().await.unwrap();
        let token = server.issue_token("alice").token().unwrap().to_owned();
        let door = Door::before(&server, &token).await;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, token).unwrap();
        let user = AuthInfo { token_file: path.to_str().map(str::to_owned), ..AuthInfo::default() };
        let mut kubeconfig = kubeconfig_of(&server, user);
        kubeconfig.clusters[0].cluster.as_mut().unwrap().server = Some(format!("http://{}", door.address));
        let (fleet, east) = fleet_with(&kubeconfig);
        fleet.wait_connected(&east).await.unwrap();
        Self { server, door, fleet, east, directory }
    }

    async fn client(&self) -> Client {
        served(&self.fleet, &self.east).await.client
    }

    fn write(&self, token: &str) {
        let new = self.directory.path().join("new");
        std::fs::write(&new, token).unwrap();
        std::fs::rename(new, self.directory.path().join("token")).unwrap();
    }
}

async fn exec(client: &Client) -> kube::Result<TokioIo<Upgraded>> {
    let request = Request::post("/api/v1/namespaces/default/pods/a/exec?command=sh").header(CONNECTION, "upgrade");
    let answer = client.send(request.header(UPGRADE, "SPDY/3.1").body(Body::empty()).unwrap()).await?;
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    Ok(TokioIo::new(hyper::upgrade::on(answer).await.unwrap()))
}

async fn assert_echoes(stream: &mut TokioIo<Upgraded>) {
    stream.write_all(b"x").await.unwrap();
    assert_eq!(within(stream.read_u8()).await.unwrap(), b'x');
}

#[tokio::test]
async fn a_stream_that_the_server_closes_is_no_outage_of_the_cluster() {
    let scene = Scene::new().await;
    let (stop, lost) = losses(&scene.fleet, "east");
    let client = scene.client().await;
    for _ in 0..3 {
        let mut stream = exec(&client).await.unwrap();
        assert_echoes(&mut stream).await;
        scene.door.state.close.send_replace(());
        assert_eq!(within(stream.read(&mut [0])).await.unwrap(), 0, "its end, and no error of the fence");
    }
    scene.fleet.probe(&scene.east).await.unwrap();
    drop(stop);
    assert!(within(lost).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_upgrade_that_is_refused_is_made_again_with_newer_credentials() {
    let scene = Scene::new().await;
    let first = std::fs::read_to_string(scene.directory.path().join("token")).unwrap();
    let second = scene.server.issue_token("alice").token().unwrap().to_owned();
    second.clone_into(&mut scene.door.state.accepted.lock().unwrap());
    let client = scene.client().await;
    let upgrading = tokio::spawn(async move { exec(&client).await });
    holds("the upgrade arrives", || scene.door.asked() == [first.clone()]).await;
    scene.write(&second);
    scene.door.state.refuse.notify_one();
    let mut stream = within(upgrading).await.unwrap().unwrap();
    assert_echoes(&mut stream).await;
    assert_eq!(scene.door.asked(), [first, second]);
}

#[tokio::test]
async fn the_streams_of_a_replaced_cluster_end_revoked() {
    let scene = Scene::new().await;
    let first = snapshot(&scene.fleet, &scene.east).connected_at;
    let client = scene.client().await;
    let mut stream = exec(&client).await.unwrap();
    assert_echoes(&mut stream).await;
    scene.server.replace(Replacement::SameCa).unwrap();
    let error = within(stream.read_u8()).await.unwrap_err();
    assert_eq!(Revoked::find(&error).map(|revoked| revoked.reason), Some(RevokedReason::Replaced), "{error:?}");
    let error = exec(&client).await.map(drop).unwrap_err();
    assert!(Revoked::find(&error).is_some(), "{error:?}");
    until(&scene.fleet, &scene.east, |now: &ClusterSnapshot| now.is_connected() && now.connected_at > first).await;
    assert_eq!(scene.door.asked().len(), 1, "the new cluster sees nothing of the old client");
}
