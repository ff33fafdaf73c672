//! The settings of a new server, and its start.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    access::{
        authz::Anonymous,
        credential::{Credential, User},
    },
    error::{InstallError, StartError},
    pipeline::{settings::Settings, state::Core},
    pki::security::{Protocols, Security},
    server::handle::{Loopback, NoSocket, TestServer},
};

/// How long a connection may take over the head of a request; idle ones are closed after it too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(90);
/// How many streams a client may have open on an HTTP/2 connection.
const HTTP2_STREAMS: u32 = 100;
/// How many requests the log keeps.
const LOG_CAPACITY: usize = 65_536;

impl TestServer {
    /// Returns the settings of a new server.
    pub fn builder() -> TestServerBuilder {
        TestServerBuilder::default()
    }

    /// Starts a server with the default settings: TLS, a free loopback port, one administrator.
    ///
    /// # Errors
    /// Those of [`TestServerBuilder::start`].
    pub async fn start_default() -> Result<Self, StartError> {
        Self::builder().start().await
    }
}

/// The settings of a [`TestServer`]. The defaults are a TLS server on a free loopback port.
#[derive(Debug)]
#[must_use = "a builder makes a server only when it is started"]
pub struct TestServerBuilder {
    settings: Settings,
    tokens: Vec<Credential>,
    installed: Vec<Result<Value, serde_json::Error>>,
}

impl Default for TestServerBuilder {
    fn default() -> Self {
        Self {
            settings: Settings {
                name: "testserver".to_owned(),
                port: 0,
                security: Security::Tls,
                protocols: Protocols::Http2AndHttp1,
                http2_streams: HTTP2_STREAMS,
                anonymous: Anonymous::default(),
                head_timeout: HEAD_TIMEOUT,
                log_capacity: LOG_CAPACITY,
                starts_at: None,
            },
            tokens: Vec::new(),
            installed: Vec::new(),
        }
    }
}

impl TestServerBuilder {
    /// Sets the name of the cluster and the context in the server's kubeconfigs. The default is `testserver`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// Sets the loopback port. The default is any free one.
    pub fn port(mut self, port: u16) -> Self {
        self.settings.port = port;
        self
    }

    /// Makes the server speak plain HTTP instead of TLS. Client certificates cannot be used then.
    pub fn plain_http(mut self) -> Self {
        self.settings.security = Security::Plain;
        self
    }

    /// Offers only HTTP/1.1 in the TLS handshake. The default offers HTTP/2 as well, and the client chooses. Over plain
    /// HTTP the server speaks HTTP/1.1 in any case.
    pub fn http1_only(mut self) -> Self {
        self.settings.protocols = Protocols::Http1;
        self
    }

    /// Sets how many requests and watches a client may have open on one HTTP/2 connection, as kube-apiserver's
    /// `--http2-max-streams-per-connection`. The default is 100, as there.
    pub fn http2_max_streams_per_connection(mut self, streams: u32) -> Self {
        self.settings.http2_streams = streams;
        self
    }

    /// Accepts a bearer token for a user, besides the administrator's.
    pub fn token(mut self, user: impl Into<User>, token: impl Into<String>) -> Self {
        self.tokens.push(Credential::from_token(user.into(), token.into()));
        self
    }

    /// Serves a custom resource from the start. `definition` is a `CustomResourceDefinition` in any serializable form, as
    /// kube's `CustomResourceExt::crd()` makes it.
    pub fn install(mut self, crd: impl Serialize) -> Self {
        self.installed.push(serde_json::to_value(crd));
        self
    }

    /// As [`install`](Self::install), of a definition that is JSON already, or could not be made so.
    pub(crate) fn install_value(mut self, definition: serde_json::Result<Value>) -> Self {
        self.installed.push(definition);
        self
    }

    /// Sets how the server treats requests without credentials.
    pub fn anonymous(mut self, policy: Anonymous) -> Self {
        self.settings.anonymous = policy;
        self
    }

    /// Sets the time limit of a TLS handshake and of the head of an HTTP/1.1 request. A connection that exceeds it is closed,
    /// and so is an HTTP/1.1 connection that is idle for so long. The default is 90 seconds.
    pub fn head_timeout(mut self, timeout: Duration) -> Self {
        self.settings.head_timeout = timeout;
        self
    }

    /// Sets the number of requests that the log keeps. It drops the oldest first. The default is 65,536.
    pub fn log_capacity(mut self, requests: usize) -> Self {
        self.settings.log_capacity = requests;
        self
    }

    /// Sets the time of day at which the server starts, for the times in objects and in the log. From then on it follows
    /// tokio's clock. The default is the real time. Certificates and credentials do not depend on it.
    ///
    /// ```
    /// use kube_testserver::TestServer;
    ///
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = TestServer::builder().time_of_day("2026-01-02T03:04:05Z".parse()?).start_without_socket()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn time_of_day(mut self, start: jiff::Timestamp) -> Self {
        self.settings.starts_at = Some(start);
        self
    }

    /// Starts the server on a loopback port.
    ///
    /// # Errors
    /// If the port cannot be opened, a key cannot be made, or an installed resource is refused.
    pub async fn start(self) -> Result<TestServer, StartError> {
        TestServer::<Loopback>::listen(self.core()?).await
    }

    /// Starts the server without a socket. Only [`TestServer::service`] and [`TestServer::client`] reach it, and nothing is
    /// spawned.
    ///
    /// # Errors
    /// If a key cannot be made or an installed resource is refused.
    pub fn start_without_socket(self) -> Result<TestServer<NoSocket>, StartError> {
        Ok(TestServer::<NoSocket>::new(self.core()?))
    }

    fn core(self) -> Result<Arc<Core>, StartError> {
        let installed = self.installed.into_iter().collect::<Result<_, _>>().map_err(InstallError::Serialize)?;
        let core = Core::new(self.settings, installed)?;
        let credentials = Arc::clone(&core.cluster().credentials);
        for token in &self.tokens {
            credentials.accept(token, None, Instant::now());
        }
        Ok(Arc::new(core))
    }
}
