//! The errors of real binaries.

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
    #[error("{} has no program {program}: name a directory with etcd and kube-apiserver", directory.display())]
    #[non_exhaustive]
    Missing {
        /// The directory of assets.
        directory: PathBuf,
        /// The name of the program.
        program: &'static str,
    },
    /// The temporary directory for the server's files cannot be made.
    #[error("cannot make a temporary directory for the server's files")]
    Directory(#[source] io::Error),
    /// A file of the server cannot be written.
    #[error("cannot write {}", path.display())]
    #[non_exhaustive]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// There is no free loopback port.
    #[error("no loopback port is free")]
    Port(#[source] io::Error),
    /// The certificates cannot be made.
    #[error("cannot make the server's certificates")]
    Certificate(#[from] CertificateError),
    /// The client that waits for the server cannot be built.
    #[error("cannot build the client that waits for the server")]
    Client(#[from] ClientError),
    /// A custom resource cannot be installed: its definition is no JSON, or the server refuses it.
    #[error("a custom resource cannot be installed")]
    Definition(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server did not serve a custom resource in time.
    #[error("the custom resource {name} was not served after {waited:?}")]
    #[non_exhaustive]
    NotServed {
        /// The name of the definition.
        name: String,
        /// The time that was waited.
        waited: Duration,
    },
    /// A program cannot be run.
    #[error("cannot run {program}")]
    #[non_exhaustive]
    NotStarted {
        /// The name of the program.
        program: &'static str,
        /// The error of the system.
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
        /// The time that was waited.
        waited: Duration,
        /// The last lines of its output.
        tail: String,
    },
}

/// Writes a file of the server.
pub(super) fn write(path: &Path, text: &str) -> Result<(), RealError> {
    std::fs::write(path, text).map_err(|source| RealError::File { path: path.to_owned(), source })
}
