//! The audit: what the servers themselves logged, counted by the credential of each connection.

use std::time::Duration;

use clientmgr_fake::apiserver::{Credential, Marker, Requests, TestServer};
use clientmgr_kube::ConnectedAt;

use crate::say;

/// A credential that one connection alone presents, and from when on no request may present it.
struct Connection {
    revision: ConnectedAt,
    credential: Credential,
    superseded: Option<Marker>,
}

/// The connections to one server, in their order.
pub(crate) struct Audit {
    cluster: &'static str,
    connections: Vec<Connection>,
}

impl Audit {
    pub(crate) fn of(cluster: &'static str) -> Self {
        Self { cluster, connections: Vec::new() }
    }

    /// From now on only `credential` may be presented.
    pub(crate) fn connected(&mut self, server: &TestServer, revision: ConnectedAt, credential: Credential) {
        for connection in &mut self.connections {
            connection.superseded.get_or_insert_with(|| server.marker());
        }
        self.connections.push(Connection { revision, credential, superseded: None });
    }

    /// Gives the server a moment to notice that the requests of revoked clients have ended: it notices a closed
    /// connection when it reads. The report counts what goes on after that.
    pub(crate) async fn until_closed(&self, server: &TestServer) {
        let closed = async {
            let mut looks = tokio::time::interval(Duration::from_millis(10));
            while self.open(server) > 0 {
                looks.tick().await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), closed).await;
    }

    /// How many requests of revoked clients go on. (Those of a rotated credential may: the cluster is the same.)
    fn open(&self, server: &TestServer) -> usize {
        let current = self.connections.last().map(|connection| connection.revision);
        let revoked = self.connections.iter().filter(|connection| Some(connection.revision) != current);
        let requests =
            revoked.flat_map(|old| server.requests_matching(Requests::any().with(old.credential.fingerprint())));
        requests.filter(|request| request.ended.is_none()).count()
    }

    /// Prints the requests by connection. Returns how many presented a superseded credential, and how many requests of
    /// revoked clients go on.
    pub(crate) fn report(&self, server: &TestServer) -> (usize, usize) {
        let mut late = 0;
        for Connection { revision, credential, superseded } in &self.connections {
            let own = Requests::any().with(credential.fingerprint());
            let requests = server.requests_matching(own.clone());
            let watches = requests.iter().filter(|request| request.verb() == "watch").count();
            let state = if superseded.is_some() { "superseded" } else { "current" };
            say(format_args!(
                "  {:7} {revision}  {:4} requests, {watches} of them watches  ({state})",
                self.cluster,
                requests.len()
            ));
            if let Some(marker) = superseded {
                late += server.requests_matching(own.since(*marker)).len();
            }
        }
        (late, self.open(server))
    }
}
