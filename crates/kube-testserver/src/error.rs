//! Why a server does not start, or does not carry out a call.

use std::{io, net::SocketAddr};

use crate::{pki::certificate_error::CertificateError, wire::status::Status};

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The loopback port could not be opened.
    #[error("the loopback port {address} could not be opened")]
    Bind {
        /// The address; port 0 is any free one.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The server's keys and certificates could not be made.
    #[error("the server's certificates could not be made")]
    Certificate(#[from] CertificateError),
    /// A custom resource cannot be installed.
    #[error("a custom resource cannot be installed")]
    Install(#[from] InstallError),
    /// `start` was called on a server that runs.
    #[error("the server is already running")]
    AlreadyRunning,
}

/// Why a custom resource cannot be installed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The definition could not be serialized.
    #[error("the definition could not be serialized")]
    Serialize(#[source] serde_json::Error),
    /// The server refuses the definition, as it would refuse it in a request.
    #[error("the definition was refused with {code}: {message}")]
    #[non_exhaustive]
    Refused {
        /// The HTTP status code of the refusal.
        code: u16,
        /// What is wrong with the definition.
        message: Box<str>,
    },
}

impl InstallError {
    pub(crate) fn refused(status: &Status) -> Self {
        Self::Refused { code: status.code(), message: status.message().into() }
    }
}

/// Why a client for the server could not be built.
#[derive(Debug, thiserror::Error)]
#[error("a client for the in-process API server could not be built")]
pub struct ClientError(#[source] pub(crate) Box<dyn std::error::Error + Send + Sync>);
