//! What can keep the real binaries from starting, told so that it can be mended.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

/// Why there is no real server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RealError {
    #[error("{} has no program {program}", directory.display())]
    Missing { directory: PathBuf, program: &'static str },
    #[error("no directory for the server's files")]
    Directory(#[source] io::Error),
    #[error("{} could not be written", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("no free loopback port")]
    Port(#[source] io::Error),
    #[error("the server's certificates could not be made")]
    Certificates(#[from] rcgen::Error),
    #[error("no client for the server")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("{program} did not start")]
    NotStarted { program: &'static str, source: io::Error },
    #[error("{program} ended with {status} before it was ready; the end of its output:\n{tail}")]
    Exited { program: &'static str, status: ExitStatus, tail: String },
    #[error("{program} was not ready after {waited:?}; the end of its output:\n{tail}")]
    NotReady { program: &'static str, waited: Duration, tail: String },
}

/// Writes a file of the server.
pub(super) fn write(path: &Path, text: &str) -> Result<(), RealError> {
    std::fs::write(path, text).map_err(|source| RealError::File { path: path.to_owned(), source })
}
