//! A server to test against, in-process or real, by the environment.

use std::{
    ffi::{OsStr, OsString},
    fmt,
};

use kube::{Client, config::Kubeconfig};
use serde::Serialize;
use serde_json::Value;

use crate::{
    access::credential::{Credential, User},
    error::{ClientError, StartError},
    real::{real_error::RealError, server::RealServer},
    server::{builder::TestServerBuilder, handle::TestServer},
};

/// The directory of the real binaries, by the convention of envtest.
const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// An API server to test against: the in-process one, or real binaries. It offers what both have.
#[derive(Debug)]
#[must_use = "the server ends when this is dropped"]
#[non_exhaustive]
pub enum AnyServer {
    /// In this process.
    InProcess(TestServer),
    /// Real binaries, as processes of their own.
    Real(Box<RealServer>),
}

/// Why no server started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FromEnvError {
    /// The in-process server did not start.
    #[error("the in-process API server did not start")]
    InProcess(#[from] StartError),
    /// The real binaries did not start.
    #[error("the real binaries that KUBEBUILDER_ASSETS names did not start")]
    Real(#[from] RealError),
}

impl TestServer {
    /// Starts the real `etcd` and `kube-apiserver` in the directory that the environment variable `KUBEBUILDER_ASSETS`
    /// names, or an in-process server with the default settings where it is not set. So the same test runs on both.
    ///
    /// ```
    /// use kube_testserver::TestServer;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = TestServer::from_env().await?;
    /// server.client().await?.apiserver_version().await?;
    /// if let Some(server) = server.in_process() {
    ///     assert_eq!(server.requests().len(), 1); // faults and the log are there in-process only
    /// }
    /// server.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the server does not start. A variable that is set and names no usable directory is an error: the test does not
    /// fall back to the in-process server.
    pub async fn from_env() -> Result<AnyServer, FromEnvError> {
        AnyServer::builder().start().await
    }
}

/// The settings of an [`AnyServer`].
#[derive(Debug)]
#[must_use = "a builder makes a server only when it is started"]
pub struct AnyServerBuilder {
    assets: Option<OsString>,
    tokens: Vec<(User, String)>,
    definitions: Vec<serde_json::Result<Value>>,
}

impl AnyServerBuilder {
    /// Serves a custom resource: `CustomResourceExt::crd()` of kube makes its definition.
    pub fn install(mut self, definition: impl Serialize) -> Self {
        self.definitions.push(serde_json::to_value(definition));
        self
    }

    /// Accepts this bearer token for this user. Give it a UID too: kube-apiserver's file of tokens has one for each user.
    pub fn token(mut self, user: impl Into<User>, token: impl Into<String>) -> Self {
        self.tokens.push((user.into(), token.into()));
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    /// As those of [`TestServer::from_env`].
    pub async fn start(self) -> Result<AnyServer, FromEnvError> {
        let tokens = self.tokens.into_iter();
        Ok(if let Some(assets) = self.assets {
            let builder = RealServer::builder(assets);
            let builder = tokens.fold(builder, |builder, (user, token)| builder.token(user, token));
            let server = builder.start().await?;
            for definition in self.definitions {
                server.install(definition).await?;
            }
            AnyServer::Real(Box::new(server))
        } else {
            let builder = TestServer::builder();
            let builder = tokens.fold(builder, |builder, (user, token)| builder.token(user, token));
            let builder = self.definitions.into_iter().fold(builder, TestServerBuilder::install_value);
            AnyServer::InProcess(builder.start().await?)
        })
    }
}

impl AnyServer {
    /// Returns the settings of a new server, in-process or real as [`TestServer::from_env`] decides it.
    pub fn builder() -> AnyServerBuilder {
        Self::builder_with(std::env::var_os(ASSETS).as_deref())
    }

    fn builder_with(assets: Option<&OsStr>) -> AnyServerBuilder {
        AnyServerBuilder { assets: assets.map(OsStr::to_owned), tokens: Vec::new(), definitions: Vec::new() }
    }

    /// Returns the in-process server, for what only it can do, or `None` on real binaries.
    pub fn in_process(&self) -> Option<&TestServer> {
        match self {
            Self::InProcess(server) => Some(server),
            Self::Real(_) => None,
        }
    }

    /// Returns the address clients connect to.
    pub fn url(&self) -> String {
        match self {
            Self::InProcess(server) => server.url(),
            Self::Real(server) => server.url(),
        }
    }

    /// Returns the administrator's credential: a token in-process, a client certificate on real binaries.
    pub fn admin(&self) -> Credential {
        match self {
            Self::InProcess(server) => server.admin(),
            Self::Real(server) => server.admin().clone(),
        }
    }

    /// Returns a kubeconfig with the administrator's credential.
    pub fn kubeconfig(&self) -> Kubeconfig {
        match self {
            Self::InProcess(server) => server.kubeconfig(),
            Self::Real(server) => server.kubeconfig(),
        }
    }

    /// Returns a kubeconfig with this credential.
    pub fn kubeconfig_for(&self, credential: &Credential) -> Kubeconfig {
        match self {
            Self::InProcess(server) => server.kubeconfig_for(credential),
            Self::Real(server) => server.kubeconfig_for(credential),
        }
    }

    /// Returns [`kubeconfig_for`](Self::kubeconfig_for) as YAML, for a file or a Secret. The text contains the credential in
    /// clear.
    pub fn kubeconfig_yaml(&self, credential: &Credential) -> String {
        match self {
            Self::InProcess(server) => server.kubeconfig_yaml(credential),
            Self::Real(server) => server.kubeconfig_yaml(credential),
        }
    }

    /// Returns a client with the administrator's credential. It does not retry.
    ///
    /// # Errors
    /// If kube cannot build a client.
    pub async fn client(&self) -> Result<Client, ClientError> {
        match self {
            Self::InProcess(server) => server.client().await,
            Self::Real(server) => server.client().await,
        }
    }

    /// [`client`](Self::client) with another credential.
    ///
    /// # Errors
    /// If kube cannot build a client.
    pub async fn client_for(&self, credential: &Credential) -> Result<Client, ClientError> {
        match self {
            Self::InProcess(server) => server.client_for(credential).await,
            Self::Real(server) => server.client_for(credential).await,
        }
    }

    /// Ends the server. On real binaries, both processes have ended when this returns.
    pub async fn shutdown(self) {
        match self {
            Self::InProcess(server) => server.shutdown().await,
            Self::Real(server) => drop(server),
        }
    }
}

impl fmt::Display for AnyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InProcess(_) => f.write_str("the in-process API server"),
            Self::Real(server) => write!(f, "{server}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_assets_the_server_is_in_process() -> Result<(), Box<dyn std::error::Error>> {
        let server = AnyServer::builder_with(None).start().await?;
        assert!(server.in_process().is_some());
        assert_eq!(server.client().await?.apiserver_version().await?.major, "1");
        server.shutdown().await;
        Ok(())
    }

    #[tokio::test]
    async fn its_kubeconfig_as_text_leads_to_it() -> Result<(), Box<dyn std::error::Error>> {
        let server = TestServer::from_env().await?;
        let read = Kubeconfig::from_yaml(&server.kubeconfig_yaml(&server.admin()))?;
        let config = kube::Config::from_custom_kubeconfig(read, &kube::config::KubeConfigOptions::default()).await?;
        assert_eq!(config.cluster_url.to_string(), format!("{}/", server.url()));
        Client::try_from(config)?.apiserver_version().await?;
        server.shutdown().await;
        Ok(())
    }

    #[tokio::test]
    async fn an_installed_definition_is_served_and_something_else_is_refused() -> Result<(), Box<dyn std::error::Error>>
    {
        let definition = serde_json::json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "widgets.example.com"},
            "spec": {
                "group": "example.com", "scope": "Cluster", "names": {"plural": "widgets", "kind": "Widget"},
                "versions": [{
                    "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}},
                }],
            },
        });
        let server = AnyServer::builder().install(definition).start().await?;
        let request = http::Request::get("/apis/example.com/v1/widgets").body(Vec::new())?;
        let list: Value = server.client().await?.request(request).await?;
        assert_eq!(list["kind"], "WidgetList");
        server.shutdown().await;

        let error = AnyServer::builder_with(None).install("no definition").start().await.err();
        assert!(matches!(error, Some(FromEnvError::InProcess(_))), "{error:?}");
        Ok(())
    }

    #[tokio::test]
    async fn a_directory_without_binaries_is_an_error_and_no_in_process_server() {
        let nothing = tempfile::tempdir().expect("a directory");
        let error = AnyServer::builder_with(Some(nothing.path().as_os_str())).start().await.err();
        assert!(matches!(error, Some(FromEnvError::Real(RealError::Missing { program: "etcd", .. }))), "{error:?}");
    }
}
