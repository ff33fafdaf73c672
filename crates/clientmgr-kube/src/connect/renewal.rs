//! [`Bearer`]: the token that a client sends, and when it is to be read or issued anew. Decides; does no I/O.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::config::ExecConfig;
use tokio::time::Instant;

use super::plugin::Issued;
use super::token::Token;
use crate::ConnectFailure;

/// How long before its end an expiring token is replaced.
const EARLY: SignedDuration = SignedDuration::from_secs(60);

/// How often a token file is read again.
const FILE_INTERVAL: Duration = Duration::from_secs(60);

/// How long after a renewal the next one is not begun, whatever calls for it: a server that refuses every token must
/// not make a plugin run on each request.
const PAUSE: Duration = Duration::from_secs(5);

/// The token that a client sends.
#[derive(Clone)]
pub(crate) struct Bearer {
    source: Origin,
    token: Option<Token>,
    expires: Option<Timestamp>,
    /// When the last renewal ended, or the first token came.
    renewed: Instant,
    /// Whether the server refused the token.
    refused: bool,
    /// Why the last renewal failed.
    failure: Option<ConnectFailure>,
}

/// Where tokens come from.
#[derive(Clone)]
pub(crate) enum Origin {
    /// There is one, or none, and that is all.
    Fixed,
    File(PathBuf),
    Plugin {
        exec: Arc<ExecConfig>,
        deadline: Duration,
    },
}

/// Whether the token is to be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    No,
    /// Yes, and the standing one is good meanwhile.
    Soon,
    /// Yes, and nothing can be sent before.
    Now,
}

impl Bearer {
    fn new(source: Origin, token: Option<Token>, expires: Option<Timestamp>) -> Self {
        Self { source, token, expires, renewed: Instant::now(), refused: false, failure: None }
    }

    /// No token: the configuration holds what there is of credentials.
    pub(crate) fn none() -> Self {
        Self::new(Origin::Fixed, None, None)
    }

    pub(crate) fn fixed(token: Token) -> Self {
        Self::new(Origin::Fixed, Some(token), None)
    }

    pub(crate) fn from_file(path: PathBuf, token: Token) -> Self {
        Self::new(Origin::File(path), Some(token), None)
    }

    /// Each renewal may take as long as `deadline`.
    pub(crate) fn from_plugin(exec: ExecConfig, issued: Issued, deadline: Duration) -> Self {
        // A certificate lives in the TLS configuration, where nothing can be put in its place.
        let source = match issued.token {
            Some(_) => Origin::Plugin { exec: Arc::new(exec), deadline },
            None => Origin::Fixed,
        };
        Self::new(source, issued.token, issued.expires)
    }

    /// When the client as a whole ceases to be good: where nothing renews what expires.
    pub(crate) fn client_valid_until(&self) -> Option<Timestamp> {
        match self.source {
            Origin::Fixed => self.expires,
            Origin::File(_) | Origin::Plugin { .. } => None,
        }
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.source
    }

    /// What to send.
    pub(crate) fn token(&self, now: Timestamp) -> Result<Option<&Token>, ConnectFailure> {
        match &self.failure {
            Some(failure) if self.has_expired(now) => Err(failure.clone()),
            _ => Ok(self.token.as_ref()),
        }
    }

    fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }

    /// Notes that the server refused `token`; if another one is in use by now that says nothing.
    pub(crate) fn refuse(&mut self, token: &Token) {
        self.refused |= self.token.as_ref() == Some(token);
    }

    pub(crate) fn renew(&mut self, renewal: Result<(Token, Option<Timestamp>), ConnectFailure>, at: Instant) {
        self.renewed = at;
        self.refused = false;
        match renewal {
            Ok((token, expires)) => {
                self.token = Some(token);
                self.expires = expires;
                self.failure = None;
            }
            Err(failure) => self.failure = Some(failure),
        }
    }

    pub(crate) fn due(&self, wall: Timestamp, now: Instant) -> Due {
        let age = now.saturating_duration_since(self.renewed);
        if matches!(self.source, Origin::Fixed) || age < PAUSE {
            return Due::No;
        }
        let file_is_old = matches!(self.source, Origin::File(_)) && age >= FILE_INTERVAL;
        let expires_soon = self.expires.is_some_and(|expires| wall.saturating_add(EARLY).is_ok_and(|at| at >= expires));
        if self.refused || self.has_expired(wall) {
            Due::Now
        } else if file_is_old || expires_soon {
            Due::Soon
        } else {
            Due::No
        }
    }
}
