//! [`Field`]: a field of a kubeconfig that an error is about, and [`FieldError`], an error with its path.

use std::error::Error;
use std::fmt;

use super::{ConfigError, CredentialFile};

/// A field of a kubeconfig. The text is what follows the entry in the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// Of the kubeconfig itself.
    Top(&'static str),
    /// Of an entry of `contexts`: `name`, or `context.` and more.
    ContextEntry(&'static str),
    /// Of an entry of `clusters`.
    ClusterEntry(&'static str),
    /// Of an entry of `users`.
    UserEntry(&'static str),
    /// Of a cluster.
    Cluster(&'static str),
    /// Of a user.
    User(&'static str),
}

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    Field(Field),
    /// A file or its embedded value: which of the two fields it is depends on the kubeconfig.
    Material(CredentialFile),
}

/// A [`ConfigError`] and the path of the field that it is about.
#[derive(Clone, Debug)]
pub(crate) struct FieldError {
    path: Box<str>,
    error: ConfigError,
}

impl FieldError {
    pub(crate) fn new(path: String, error: ConfigError) -> Self {
        Self { path: path.into(), error }
    }

    /// Returns the path of the field, as `users[0].user.exec`.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn error(&self) -> &ConfigError {
        &self.error
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.error)
    }
}

impl Error for FieldError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}
