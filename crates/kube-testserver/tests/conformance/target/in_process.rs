//! The in-process server as a target: its users, and what the outsider may not do.

use std::time::Duration;

use kube_testserver::{CertificateError, Credential, Requests, StartError, TestServer, User};

use super::{ADMIN, MASTERS, OUTSIDER, OUTSIDER_GROUP, OUTSIDER_UID};

/// How long the administrator's certificate is good for.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Why the in-process server could not be made a target.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InProcessError {
    #[error("the in-process API server did not start")]
    Start(#[from] StartError),
    #[error("the administrator has no certificate")]
    Certificate(#[from] CertificateError),
}

/// A running in-process server with the suite's users.
pub(super) struct InProcess {
    pub(super) server: TestServer,
    pub(super) admin: Credential,
    pub(super) admin_by_token: Credential,
    pub(super) outsider: Credential,
}

impl InProcess {
    pub(super) async fn start() -> Result<Self, InProcessError> {
        let server = TestServer::builder().name("conformance").start().await?;
        let admin = User::new(ADMIN).group(MASTERS);
        let outsider = server.issue_token(User::new(OUTSIDER).uid(OUTSIDER_UID).group(OUTSIDER_GROUP));
        // RBAC forbids what no role allows. This server allows what is not forbidden, so these are forbidden here.
        for resource in ["configmaps", "namespaces", "widgets"] {
            server.forbid_requests(Requests::to(resource).user(OUTSIDER));
        }
        Ok(Self {
            admin: server.issue_certificate(admin.clone(), DAY)?,
            admin_by_token: server.issue_token(admin),
            outsider,
            server,
        })
    }

    pub(super) async fn shutdown(self) {
        self.server.shutdown().await;
    }
}
