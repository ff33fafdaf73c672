//! Why real binaries do not start.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use crate::{error::ClientError, pki::certificate_error::CertificateError};

/// Why a real server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RealError {
    /// The directory of assets lacks a program.
    #[error("{} has no program {program}", directory.display())]
    #[non_exhaustive]
    Missing {
        /// The directory of assets.
        directory: PathBuf,
        /// The name of the program.
        program: &'static str,
    },
    /// The temporary directory for the server's files could not be made.
    #[error("the directory for the server's files could not be made")]
    Directory(#[source] io::Error),
    /// A file of the server could not be written.
    #[error("{} could not be written", path.display())]
    #[non_exhaustive]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no free loopback port.
    #[error("no loopback port is free")]
    Port(#[source] io::Error),
    /// The certificates could not be made.
    #[error("the server's certificates could not be made")]
    Certificate(#[from] CertificateError),
    /// The client that waits for the server could not be built.
    #[error("the client that waits for the server could not be built")]
    Client(#[from] ClientError),
    /// A custom resource could not be installed: its definition cannot be written as JSON, or the server refused it.
    #[error("a custom resource could not be installed")]
    Definition(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server did not serve a custom resource in time.
    #[error("the custom resource {name} was not served after {waited:?}")]
    #[non_exhaustive]
    NotServed {
        /// The name of the definition.
        name: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// A program could not be run.
    #[error("{program} could not be run")]
    #[non_exhaustive]
    NotStarted {
        /// The name of the program.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A program ended before it was ready.
    #[error("{program} ended with {status} before it was ready; the end of its output:\n{tail}")]
    #[non_exhaustive]
    Exited {
        /// The name of the program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its output.
        tail: String,
    },
    /// A program was not ready in time.
    #[error("{program} was not ready after {waited:?}; the end of its output:\n{tail}")]
    #[non_exhaustive]
    NotReady {
        /// The name of the program.
        program: &'static str,
        /// How long it was waited for.
        waited: Duration,
        /// The last lines of its output.
        tail: String,
    },
}

/// Writes a file of the server.
pub(super) fn write(path: &Path, text: &str) -> Result<(), RealError> {
    std::fs::write(path, text).map_err(|source| RealError::File { path: path.to_owned(), source })
}
