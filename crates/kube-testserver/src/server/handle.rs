//! The server's handle and its life: started, stopped, started again, shut down. What can be done to a server while it
//! lives is in `actions`.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use http::HeaderValue;
use kube::config::Kubeconfig;
use tokio::{net::TcpSocket, sync::Mutex};
use tokio_util::sync::DropGuard;

use crate::{
    access::credential::Credential,
    error::{ClientError, StartError},
    pipeline::state::Core,
    pki::security::Security,
    server::{
        client,
        kubeconfig::{self, Destination},
    },
    transport::{
        listen::{self, Listening},
        socketless::TestService,
    },
};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// A Kubernetes API server inside the test process.
///
/// It runs until [`shutdown`](TestServer::shutdown), or until it is dropped. `shutdown` waits for the end of its tasks; a drop
/// only signals them to end. The type parameter is [`Loopback`] for a server on a loopback socket, and [`NoSocket`] for one
/// that only [`TestServer::service`] reaches.
///
/// See the [crate] for an example.
#[derive(Debug)]
#[must_use = "the server ends when this is dropped"]
pub struct TestServer<T = Loopback> {
    pub(crate) core: Arc<Core>,
    pub(crate) transport: T,
    _gone_on_drop: DropGuard,
}

/// A server with a socket on a loopback port. [`TestServer::service`] reaches it too.
#[derive(Debug)]
pub struct Loopback {
    address: SocketAddr,
    phase: Mutex<Phase>,
}

/// A server without a socket and without tasks, which only [`TestServer::service`] reaches.
#[derive(Debug)]
#[non_exhaustive]
pub struct NoSocket;

#[derive(Debug)]
enum Phase {
    Running(Listening),
    /// Not listening. The port stays reserved where the system allows it, so that no other process takes it meanwhile.
    Stopped(Option<TcpSocket>),
}

impl<T> TestServer<T> {
    fn with(core: Arc<Core>, transport: T) -> Self {
        let guard = core.gone.clone().drop_guard();
        Self { core, transport, _gone_on_drop: guard }
    }

    /// Returns the server as a tower service for [`kube::Client::new`]. Its requests carry `credential`, or none.
    ///
    /// It opens no socket, spawns nothing and works under a paused clock. Authentication, faults and the log are those of the
    /// socket.
    pub fn service(&self, credential: impl Into<Option<Credential>>) -> TestService {
        TestService::new(Arc::clone(&self.core), credential.into())
    }
}

impl TestServer<NoSocket> {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self::with(core, NoSocket)
    }

    /// Returns a client with the administrator's credential, over [`service`](Self::service).
    ///
    /// # Panics
    /// Outside a Tokio runtime, as [`kube::Client::new`] does.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.service(self.admin()), "default")
    }

    /// Refuses every request and cuts those that are open, until [`start`](Self::start). Keeps all content.
    pub fn stop(&self) {
        self.core.close();
    }

    /// Accepts requests again.
    pub fn start(&self) {
        self.core.open();
    }
}

impl TestServer<Loopback> {
    pub(crate) async fn listen(core: Arc<Core>) -> Result<Self, StartError> {
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, core.settings.port));
        let failed = |source| StartError::Bind { address: wanted, source };
        let socket = listen::bind(wanted).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let server = Self::with(core, Loopback { address, phase: Mutex::new(Phase::Stopped(Some(socket))) });
        server.start().await?;
        Ok(server)
    }

    /// Starts a stopped server again, with the same port, certificates, content and credentials.
    ///
    /// # Errors
    /// [`StartError::AlreadyRunning`] if it runs. [`StartError::Bind`] if another process has taken the port: the server stays
    /// stopped.
    pub async fn start(&self) -> Result<(), StartError> {
        let mut phase = self.transport.phase.lock().await;
        let Phase::Stopped(kept) = &mut *phase else { return Err(StartError::AlreadyRunning) };
        let listener = self
            .open_port(kept.take())
            .map_err(|source| StartError::Bind { address: self.transport.address, source })?;
        self.core.open();
        *phase = Phase::Running(Listening::start(&self.core, listener));
        Ok(())
    }

    fn open_port(&self, kept: Option<TcpSocket>) -> io::Result<tokio::net::TcpListener> {
        match kept {
            Some(socket) => socket.listen(BACKLOG),
            None => listen::bind(self.transport.address)?.listen(BACKLOG),
        }
    }

    /// Closes the port and cuts every connection. Keeps content, certificates and credentials for [`start`](Self::start).
    /// When this returns, connections are refused and no task of the server is left. Does nothing on a stopped server.
    ///
    /// # Cancel safety
    /// Once polled, the port closes and the connections are cut even if the future is dropped. Only the wait for their tasks
    /// is lost.
    pub async fn stop(&self) {
        let mut phase = self.transport.phase.lock().await;
        if let Phase::Running(listening) = std::mem::replace(&mut *phase, Phase::Stopped(None)) {
            self.core.close();
            listening.stop().await;
        }
        if let Phase::Stopped(kept @ None) = &mut *phase {
            // Without the placeholder another process may get the port; `start` returns an error then.
            *kept = listen::bind(self.transport.address).ok();
        }
    }

    /// Ends the server. When this returns, the port is closed and no task, connection or socket of the server is left.
    pub async fn shutdown(self) {
        self.stop().await;
    }

    /// Returns the URL that clients connect to: `https://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        let scheme = match self.core.settings.security {
            Security::Tls => "https",
            Security::Plain => "http",
        };
        format!("{scheme}://{}", self.transport.address)
    }

    /// Returns the socket's address. It does not change.
    pub fn address(&self) -> SocketAddr {
        self.transport.address
    }

    /// Returns a kubeconfig with the administrator's credential (group `system:masters`).
    pub fn kubeconfig(&self) -> Kubeconfig {
        self.kubeconfig_for(&self.admin())
    }

    /// Returns a kubeconfig with this credential.
    pub fn kubeconfig_for(&self, credential: &Credential) -> Kubeconfig {
        kubeconfig::kubeconfig(&self.destination(), credential)
    }

    /// Returns [`kubeconfig_for`](Self::kubeconfig_for) as YAML, for a file or a Secret. The text contains the credential in
    /// clear.
    pub fn kubeconfig_yaml(&self, credential: &Credential) -> String {
        kubeconfig::yaml(&self.destination(), credential)
    }

    /// Returns a client with the administrator's credential. It does not retry, so a fault shows at once.
    ///
    /// Installs the cryptography of the feature `ring` or `aws-lc-rs` as the default of the process, which kube needs, unless
    /// there is one.
    ///
    /// # Errors
    /// If kube cannot build a client.
    pub async fn client(&self) -> Result<kube::Client, ClientError> {
        self.client_for(&self.admin()).await
    }

    /// Returns a [`client`](Self::client) with another credential.
    ///
    /// # Errors
    /// If kube cannot build a client, for example because a header cannot contain the token.
    pub async fn client_for(&self, credential: &Credential) -> Result<kube::Client, ClientError> {
        if let Some(token) = credential.token() {
            // Kube panics on a token that is no header value.
            HeaderValue::try_from(token).map_err(|error| ClientError(error.into()))?;
        }
        client::client(self.kubeconfig_for(credential)).await
    }

    fn destination(&self) -> Destination<'_> {
        Destination { name: &self.core.settings.name, url: self.url(), ca_pem: self.ca_pem() }
    }
}
