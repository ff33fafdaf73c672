//! The audit: what the servers themselves logged, counted by the revision of the client that asked.

use clientmgr_fake::apiserver::{ApiServer, Credential, Logged, Marker};
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
    pub(crate) fn supersede(&mut self, server: &ApiServer) {
        if let Some((_latest, old)) = self.connections.split_last_mut() {
            for connection in old {
                connection.superseded.get_or_insert_with(|| server.marker());
            }
        }
    }

    /// Prints the requests by revision. Tells how many were made with a superseded client, and how many requests made
    /// with one still go on.
    pub(crate) fn report(&self, server: &ApiServer) -> (usize, usize) {
        let (mut late, mut open) = (0, 0);
        for Connection { revision, credential, superseded } in &self.connections {
            let own = Logged::any().with(credential.fingerprint());
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
                open += requests.iter().filter(|request| request.ended.is_none()).count();
            }
        }
        (late, open)
    }
}
