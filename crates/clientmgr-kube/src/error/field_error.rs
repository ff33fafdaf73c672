//! [`FieldError`]: an error with the path of the field that it is about.

use std::error::Error;
use std::fmt;

use super::config::ConfigError;

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
