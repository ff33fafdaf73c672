//! What is left behind when connections are replaced and clusters removed: no socket, no task.

use std::net::SocketAddr;
use std::sync::Arc;

use clientmgr_fake::apiserver::{Fault, Requests, TestServer};
use clientmgr_kube::kube::config::Kubeconfig;
use clientmgr_kube::{Revoked, RevokedReason};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use crate::support::{PATIENCE, connect, fleet_with, logged, served};

/// A server, and a proxy before it that counts the open connections.
struct Counted {
    server: TestServer,
    door: SocketAddr,
    inside: Arc<()>,
}

impl Counted {
    async fn start() -> Self {
        let server = TestServer::builder().name("east").plain_http().start().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (door, behind, inside) = (listener.local_addr().unwrap(), server.address(), Arc::new(()));
        let counter = Arc::downgrade(&inside);
        tokio::spawn(async move {
            while let (Ok((mut visitor, _)), Some(visit)) = (listener.accept().await, counter.upgrade()) {
                tokio::spawn(async move {
                    let mut host = TcpStream::connect(behind).await.unwrap();
                    // An end by a reset is an end as well.
                    let _ = copy_bidirectional(&mut visitor, &mut host).await;
                    drop(visit);
                });
            }
        });
        Self { server, door, inside }
    }

    fn kubeconfig(&self) -> Kubeconfig {
        let mut kubeconfig = self.server.kubeconfig();
        kubeconfig.clusters[0].cluster.as_mut().unwrap().server = Some(format!("http://{}", self.door));
        kubeconfig
    }

    /// The open connections, and the tasks of the runtime.
    fn census(&self) -> (usize, usize) {
        (Arc::strong_count(&self.inside) - 1, Handle::current().metrics().num_alive_tasks())
    }

    /// Waits until there is no more than this.
    async fn comes_down_to(&self, expected: (usize, usize)) {
        let down = async {
            while self.census() != expected {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, down).await.is_ok();
        assert!(in_time, "{:?} and not {expected:?} connections and tasks", self.census());
    }
}

#[tokio::test]
async fn a_replaced_or_removed_connection_leaves_no_socket_and_no_task() {
    let counted = Counted::start().await;
    let before = counted.census();
    let (fleet, east) = fleet_with(&counted.kubeconfig());
    fleet.wait_connected(&east).await.unwrap();
    let connected = counted.census();
    assert_eq!(connected.0, 1);

    for _ in 0..8 {
        fleet.reconnect(&east).await.unwrap();
    }
    counted.comes_down_to(connected).await;
    served(&fleet, &east).await.client.apiserver_version().await.unwrap();

    fleet.remove(&east);
    // What is left is the fleet's own.
    counted.comes_down_to((0, before.1 + 1)).await;
    drop(fleet);
    counted.comes_down_to(before).await;
}

#[tokio::test]
async fn an_attempt_that_fails_or_is_dropped_leaves_no_socket_and_no_task() {
    let counted = Counted::start().await;
    let before = counted.census();
    let failing = counted.server.inject(Fault::InternalError);
    connect(&counted.kubeconfig()).await.unwrap_err();
    failing.lift();
    counted.comes_down_to(before).await;

    let _hanging = counted.server.inject(Fault::NeverAnswer);
    let marker = counted.server.marker();
    let (fleet, _) = fleet_with(&counted.kubeconfig());
    logged(&counted.server, Requests::any().since(marker)).await;
    drop(fleet);
    counted.comes_down_to(before).await;
}

#[tokio::test]
async fn after_a_shutdown_nothing_is_left_and_open_clients_are_revoked() {
    let counted = Counted::start().await;
    let before = counted.census();
    let (fleet, east) = fleet_with(&counted.kubeconfig());
    fleet.wait_connected(&east).await.unwrap();
    let client = served(&fleet, &east).await.client;
    fleet.shutdown().await;
    let error = client.apiserver_version().await.unwrap_err();
    assert_eq!(Revoked::find(&error).map(|revoked| revoked.reason), Some(RevokedReason::ShutDown));
    let error = fleet.wait_connected(&east).await.unwrap_err();
    assert_eq!(error.to_string(), "cluster east: the fleet was shut down");
    fleet.add_contexts(&counted.kubeconfig());
    assert!(fleet.clusters().is_empty());
    drop(client);
    // The tasks have ended; the door closes a moment later.
    counted.comes_down_to(before).await;
}

#[tokio::test]
async fn a_fleet_that_is_dropped_leaves_no_socket_and_no_task() {
    let counted = Counted::start().await;
    let before = counted.census();
    let (fleet, east) = fleet_with(&counted.kubeconfig());
    fleet.wait_connected(&east).await.unwrap();
    drop(fleet);
    counted.comes_down_to(before).await;
}
