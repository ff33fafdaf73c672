//! The audit: what the servers themselves logged, counted by the revision of the client that asked.

use std::time::Duration;

use clientmgr_fake::apiserver::{Credential, Marker, Requests, TestServer};
use clientmgr_kube::ConnectedAt;

use crate::say;

/// One connection: the credential that only it uses, and from when on nobody may use it.
struct Connection {
    revision: ConnectedAt,
    credential: Credential,
    superseded: Option<Marker>,
}

/// The connections of one server, in their order.
pub(crate) struct Audit {
    cluster: &'static str,
    connections: Vec<Connection>,
}

impl Audit {
    pub(crate) fn of(cluster: &'static str) -> Self {
        Self { cluster, connections: Vec::new() }
    }

    pub(crate) fn connected(&mut self, revision: ConnectedAt, credential: Credential) {
        self.connections.push(Connection { revision, credential, superseded: None });
    }

    /// From now on, only the latest connection may be used.
    pub(crate) fn supersede(&mut self, server: &TestServer) {
        if let Some((_latest, old)) = self.connections.split_last_mut() {
            for connection in old {
                connection.superseded.get_or_insert_with(|| server.marker());
            }
        }
    }

    /// Gives the server a moment to notice that the requests of superseded clients have ended: a closed connection shows
    /// when it is read. What goes on after that is told by the report.
    pub(crate) async fn until_closed(&self, server: &TestServer) {
        let closed = async {
            let mut looks = tokio::time::interval(Duration::from_millis(10));
            while self.open(server) > 0 {
                looks.tick().await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), closed).await;
    }

    /// How many requests made with a superseded client go on.
    fn open(&self, server: &TestServer) -> usize {
        let superseded = self.connections.iter().filter(|connection| connection.superseded.is_some());
        let requests =
            superseded.flat_map(|old| server.requests_matching(Requests::any().with(old.credential.fingerprint())));
        requests.filter(|request| request.ended.is_none()).count()
    }

    /// Prints the requests by revision. Tells how many were made with a superseded client, and how many requests made
    /// with one still go on.
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
