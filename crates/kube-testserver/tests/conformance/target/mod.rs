//! The server under test: the in-process one or real binaries, behind one face.
//!
//! Only this folder knows what differs between the two: how they are started and ended, and why the outsider may do nothing.

mod entrance;
mod in_process;

use std::{error::Error, fmt};

use kube_testserver::{RealServer, User};
use tokio::sync::OnceCell;

pub(crate) use self::entrance::Who;
use self::{entrance::Entrance, in_process::InProcess};
use crate::{case::Case, fixtures};

/// The directory of the real binaries, by the convention of envtest.
const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// The administrator, by client certificate or by token.
const ADMIN: &str = "admin";
/// The group whose members may do everything.
const MASTERS: &str = "system:masters";
/// A user that the server knows and that may do nothing.
pub(crate) const OUTSIDER: &str = "conformance-outsider";
pub(crate) const OUTSIDER_UID: &str = "outsider-1";
pub(crate) const OUTSIDER_GROUP: &str = "conformance-visitors";

/// The server that all tests of a run share.
pub(crate) struct Target {
    entrance: Entrance,
    server: Server,
    widgets: OnceCell<()>,
}

enum Server {
    InProcess(Box<InProcess>),
    Real(Box<RealServer>),
}

impl Target {
    /// Starts the real binaries where the environment names them, else the in-process server.
    pub(crate) async fn start() -> Result<Self, Box<dyn Error>> {
        let (entrance, server) = if let Some(assets) = std::env::var_os(ASSETS) {
            let [admin, outsider] = [(); 2].map(|()| uuid::Uuid::new_v4().simple().to_string());
            let real = RealServer::builder(&assets)
                .token(User::new(ADMIN).uid("admin-1").group(MASTERS), &admin)
                .token(User::new(OUTSIDER).uid(OUTSIDER_UID).group(OUTSIDER_GROUP), &outsider)
                .start()
                .await?;
            (Entrance::of_real(&real, admin, outsider), Server::Real(Box::new(real)))
        } else {
            let in_process = InProcess::start().await?;
            (in_process.entrance(), Server::InProcess(Box::new(in_process)))
        };
        Ok(Self { entrance, server, widgets: OnceCell::new() })
    }

    /// A client that never retries, so that each answer is seen.
    pub(crate) async fn client(&self, who: Who, namespace: &str) -> Result<kube::Client, Box<dyn Error>> {
        self.entrance.client(who, namespace).await
    }

    /// A kubeconfig file's text. JSON is YAML.
    pub(crate) fn kubeconfig(&self, who: Who, namespace: &str) -> String {
        self.entrance.kubeconfig(who, namespace).to_string()
    }

    /// Defines the widgets that all tests share, once.
    pub(crate) async fn define_widgets(&self, case: &Case) {
        let define = || async {
            case.define(&fixtures::widgets(fixtures::WIDGET_GROUP)).await.expect("the definition is accepted");
        };
        self.widgets.get_or_init(define).await;
    }

    pub(crate) async fn shutdown(self) {
        match self.server {
            Server::InProcess(server) => server.shutdown().await,
            Server::Real(server) => drop(server),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.server {
            Server::InProcess(_) => f.write_str("the in-process API server"),
            Server::Real(server) => write!(f, "{server}"),
        }
    }
}
