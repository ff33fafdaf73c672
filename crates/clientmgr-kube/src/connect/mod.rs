//! Connecting: from an endpoint to a client whose API was proven to answer. All the I/O of a fleet is below here; when
//! it is done, and what follows from it, is decided elsewhere.

mod address;
mod authorize;
mod build;
mod config;
mod credential;
mod deadline;
pub(crate) mod files;
mod identity;
mod lane;
mod plugin;
mod proof;
mod renewal;
mod token;
mod translate;
pub(crate) mod unset;

use std::time::Duration;

use clientmgr_core::{NamespacedName, async_trait};
use http::HeaderValue;

use self::config::{Credentials, Loaded};
use self::deadline::Deadline;
pub(crate) use self::lane::Lane;
pub use self::proof::Proof;
use crate::fleet::Line;
use crate::{ConnectError, ConnectFailure, Endpoint};

/// What makes and proves connections: kube, or a test's stand-in.
#[async_trait]
pub(crate) trait Connector: Send + Sync {
    /// Makes a connection and proves it, within `deadline`.
    async fn open(&self, key: &NamespacedName, endpoint: &Endpoint, deadline: Duration) -> Result<Line, ConnectError>;

    /// Proves that a client's API answers, each request within `deadline`.
    async fn prove(&self, key: &NamespacedName, line: &Line, deadline: Duration) -> Result<Proof, ConnectError>;
}

/// The real one.
pub(crate) struct KubeConnector {
    user_agent: HeaderValue,
    request_deadline: Duration,
}

impl KubeConnector {
    pub(crate) fn new(user_agent: HeaderValue, request_deadline: Duration) -> Self {
        Self { user_agent, request_deadline }
    }

    async fn open(&self, endpoint: &Endpoint, deadline: Duration) -> Result<Line, ConnectFailure> {
        build::require_cryptography()?;
        let steps = Deadline::within(deadline);

        let source = endpoint.clone();
        let Loaded { mut config, credentials } =
            endpoint.lane().run(steps, move || config::load(source.source())).await??;
        let credentials = match credentials {
            Credentials::Plugin(exec) => {
                let issued = plugin::run(&exec, steps).await?;
                if let Some(identity) = &issued.identity {
                    identity.put_into(&mut config);
                }
                renewal::Bearer::from_plugin(*exec, issued, deadline)
            }
            Credentials::TokenFile { path, token } => renewal::Bearer::from_file(path, token),
            Credentials::Token(token) => renewal::Bearer::fixed(token),
            Credentials::InConfig => renewal::Bearer::none(),
        };
        // Headers are appended to each request, and a ready configuration may have one of these too.
        config.headers.retain(|(name, _)| name != http::header::USER_AGENT);
        config.headers.push((http::header::USER_AGENT, self.user_agent.clone()));
        // Longer than the attempt, for which there is a deadline as it is: one that tells the same each time.
        config.connect_timeout = Some(deadline.saturating_add(Duration::from_secs(1)));
        config.read_timeout = None;
        config.default_retry = false;
        let client = endpoint.lane().run(steps, move || build::client(config, credentials)).await??;
        let proof = proof::prove(&client, self.request_deadline).await?;
        Ok(Line { client, proof })
    }
}

#[async_trait]
impl Connector for KubeConnector {
    async fn open(&self, key: &NamespacedName, endpoint: &Endpoint, deadline: Duration) -> Result<Line, ConnectError> {
        self.open(endpoint, deadline).await.map_err(|failure| ConnectError::new(key.clone(), failure))
    }

    async fn prove(&self, key: &NamespacedName, line: &Line, deadline: Duration) -> Result<Proof, ConnectError> {
        proof::prove(&line.client, deadline).await.map_err(|failure| ConnectError::new(key.clone(), failure))
    }
}
