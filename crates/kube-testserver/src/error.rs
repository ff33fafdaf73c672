//! The errors of starting and using a server.

use std::{io, net::SocketAddr};

use crate::{pki::certificate_error::CertificateError, wire::status::Status};

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The loopback port cannot be opened.
    #[error("cannot listen on the loopback port {address}: end the process that uses it, or leave the port out")]
    Bind {
        /// The address; port 0 is any free one.
        address: SocketAddr,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// The server's keys and certificates cannot be made.
    #[error("cannot make the server's certificates")]
    Certificate(#[from] CertificateError),
    /// A custom resource cannot be installed.
    #[error("a custom resource cannot be installed")]
    Install(#[from] InstallError),
    /// `start` was called on a server that runs.
    #[error("the server is already running: stop it before it is started again")]
    AlreadyRunning,
}

/// Why a custom resource cannot be installed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The definition cannot be serialized.
    #[error("the definition cannot be serialized")]
    Serialize(#[source] serde_json::Error),
    /// The server refuses the definition, as in a request.
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

/// Why a client for the server cannot be built.
#[derive(Debug, thiserror::Error)]
#[error("cannot build a client for the API server")]
pub struct ClientError(#[source] pub(crate) Box<dyn std::error::Error + Send + Sync>);
