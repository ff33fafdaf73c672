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
/// It runs until [`shutdown`](TestServer::shutdown) or until it is dropped. A drop only signals the tasks to
/// end; `shutdown` waits until they have. The type parameter says how it is reached: by a loopback socket, or by
/// [`TestServer::service`] alone.
///
/// See the [crate] for an example.
#[derive(Debug)]
#[must_use = "the server ends when this is dropped"]
pub struct TestServer<T = Loopback> {
    pub(crate) core: Arc<Core>,
    pub(crate) transport: T,
    _gone_on_drop: DropGuard,
}

/// Reached by a socket on a loopback port, and by services too.
#[derive(Debug)]
pub struct Loopback {
    address: SocketAddr,
    phase: Mutex<Phase>,
}

/// Reached by services only: there is no socket and no task.
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

    /// The server as a tower service for [`kube::Client::new`], making its requests with `credential`, or
    /// anonymously.
    ///
    /// It opens no socket, spawns nothing and works under a paused clock. Authentication, faults and log are the
    /// same as on the socket.
    pub fn service(&self, credential: impl Into<Option<Credential>>) -> TestService {
        TestService::new(Arc::clone(&self.core), credential.into())
    }
}

impl TestServer<NoSocket> {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self::with(core, NoSocket)
    }

    /// A client with the administrator's credential, over [`service`](Self::service).
    ///
    /// # Panics
    /// Outside a Tokio runtime, as [`kube::Client::new`] does.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.service(self.admin()), "default")
    }

    /// Refuses every request and cuts those under way, until [`start`](Self::start). Nothing is forgotten.
    pub fn stop(&self) {
        self.core.close();
    }

    /// Takes requests again.
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

    /// Starts a stopped server again: same port, same certificates, same content, same credentials.
    ///
    /// # Errors
    /// [`StartError::AlreadyRunning`] if it runs, [`StartError::Bind`] if another process took the port meanwhile;
    /// then it stays stopped.
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

    /// Closes the port and cuts every connection. Content, certificates and credentials are kept for
    /// [`start`](Self::start). When this returns, connecting is refused and no task of the server is left. Does
    /// nothing if it is stopped already.
    ///
    /// # Cancel safety
    /// Once polled, the port closes and the connections are cut even if the future is dropped; what is lost is
    /// the wait for their tasks.
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

    /// Ends the server: when this returns, the port is closed and no task, connection or socket of it is left.
    pub async fn shutdown(self) {
        self.stop().await;
    }

    /// The address clients connect to: `https://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        let scheme = match self.core.settings.security {
            Security::Tls => "https",
            Security::Plain => "http",
        };
        format!("{scheme}://{}", self.transport.address)
    }

    /// The socket's address. It stays the same for the server's life.
    pub fn address(&self) -> SocketAddr {
        self.transport.address
    }

    /// A kubeconfig with the administrator's credential (group `system:masters`).
    pub fn kubeconfig(&self) -> Kubeconfig {
        self.kubeconfig_for(&self.admin())
    }

    /// A kubeconfig with this credential.
    pub fn kubeconfig_for(&self, credential: &Credential) -> Kubeconfig {
        kubeconfig::kubeconfig(&self.destination(), credential)
    }

    /// [`kubeconfig_for`](Self::kubeconfig_for) as YAML text, for a file or a Secret. It holds the credential's
    /// secret in clear.
    pub fn kubeconfig_yaml(&self, credential: &Credential) -> String {
        kubeconfig::yaml(&self.destination(), credential)
    }

    /// A client with the administrator's credential. It does not retry: a fault is seen at once.
    ///
    /// Installs the provider of the feature `ring` or `aws-lc-rs` as the default of the process if it has none yet, since kube
    /// needs one.
    ///
    /// # Errors
    /// If kube cannot build a client.
    pub async fn client(&self) -> Result<kube::Client, ClientError> {
        self.client_for(&self.admin()).await
    }

    /// [`client`](Self::client) with another credential.
    ///
    /// # Errors
    /// If kube cannot build a client: a token that cannot be sent in a header, for one.
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
