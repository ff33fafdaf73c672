//! [`Failure`]: why a request to an API server failed, by what helps. [`Reports`]: which failures are worth a warning.

use std::fmt::{self, Display};
use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use kube::runtime::watcher;
use tokio::time::Instant;

/// A request took too long.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the API server did not answer within {deadline:?}")]
pub(crate) struct TimedOut {
    pub(crate) deadline: Duration,
}

impl TimedOut {
    /// Returns kube's error of a request that took longer than `deadline`.
    pub(crate) fn error(deadline: Duration) -> kube::Error {
        kube::Error::Service(Box::new(Self { deadline }))
    }

    /// Returns it where `error` is that of a request that took too long.
    pub(crate) fn of(error: &kube::Error) -> Option<&Self> {
        match error {
            kube::Error::Service(error) => error.downcast_ref(),
            _ => None,
        }
    }
}

/// Why a request to an API server failed, by what helps. Never contains a secret: kube's own texts may quote what a
/// credential plugin printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server does not serve the kind (404).
    NotServed,
    /// The server forbids the request (403), and says this.
    Forbidden(String),
    /// The server refuses the credentials (401), and says this.
    Unauthorized(String),
    /// The server did not answer in time.
    TimedOut(Duration),
    /// Something else, which may pass.
    Other(String),
}

impl Failure {
    pub(crate) fn of(error: &kube::Error) -> Self {
        if let Some(TimedOut { deadline }) = TimedOut::of(error) {
            return Self::TimedOut(*deadline);
        }
        match error {
            kube::Error::Api(status) => Self::of_status(status.code, &status.message),
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
                Self::Other("the answer cannot be read".to_owned())
            }
            kube::Error::Auth(_) => Self::Other("no credentials for the API server".to_owned()),
            _ => Self::Other("the connection to the API server failed or was cut".to_owned()),
        }
    }

    pub(crate) fn of_watch(error: &watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => Self::of(error),
            watcher::Error::WatchError(status) => Self::of_status(status.code, &status.message),
            watcher::Error::NoResourceVersion => Self::Other("the answer has no resourceVersion".to_owned()),
        }
    }

    fn of_status(code: u16, message: &str) -> Self {
        match code {
            401 => Self::Unauthorized(message.to_owned()),
            403 => Self::Forbidden(message.to_owned()),
            404 => Self::NotServed,
            _ => Self::Other(format!("{message} ({code})")),
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotServed => f.write_str("the API server does not serve this kind (404)"),
            Self::Forbidden(reason) => write!(f, "{reason} (403)"),
            Self::Unauthorized(reason) => write!(f, "{reason} (401)"),
            Self::TimedOut(deadline) => write!(f, "the API server did not answer within {deadline:?}"),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

/// Which kinds of failures were reported: each once, until all was well for a while.
#[derive(Default)]
pub(crate) struct Reports {
    kinds: Vec<Discriminant<Failure>>,
    last: Option<Instant>,
}

/// All is well after so long without a failure. What fails is tried again sooner.
const WELL: Duration = Duration::from_secs(120);

impl Reports {
    /// Follows a failure. Returns whether it is the first of its kind.
    fn is_first(&mut self, failure: &Failure) -> bool {
        let now = Instant::now();
        if self.last.replace(now).is_some_and(|last| now.duration_since(last) >= WELL) {
            self.kinds.clear();
        }
        let (kind, known) = (discriminant(failure), self.kinds.len());
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
        }
        self.kinds.len() > known
    }

    /// Logs a failure of `what`, explained by `text`: a warning where it is the first of its kind.
    pub(crate) fn log(&mut self, failure: &Failure, what: impl Display, text: impl Display) {
        if self.is_first(failure) {
            tracing::warn!(error = %text, "{what} failed: it is tried again");
        } else {
            tracing::debug!(error = %text, "{what} failed again");
        }
    }

    /// Logs an error of the watch of `what`, explained by `text`.
    pub(crate) fn log_watch(&mut self, error: &watcher::Error, what: impl Display, text: impl Display) {
        if is_cut(error) {
            tracing::debug!(error = %text, "the watch of {what} was cut: it resumes");
        } else {
            self.log(&Failure::of_watch(error), format_args!("the watch of {what}"), text);
        }
    }

    /// All is well again. Returns whether a failure was reported before.
    pub(crate) fn clear(&mut self) -> bool {
        !std::mem::take(&mut self.kinds).is_empty()
    }
}

/// Returns whether a watch that resumes after `error` may lack an event: kube goes on behind a line that it cannot read.
pub(crate) fn loses_events(error: &watcher::Error) -> bool {
    use kube::Error::{HyperError, ReadEvents, Service};
    matches!(error, watcher::Error::WatchFailed(error) if !matches!(error, ReadEvents(_) | HyperError(_) | Service(_)))
}

/// Returns whether `error` is one of a connection that was cut: the watch resumes without a gap.
pub(crate) fn is_cut(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchFailed(_)) && !loses_events(error)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::core::Status;
    use kube::runtime::watcher;

    use super::{Failure, Reports, TimedOut, WELL};

    #[test]
    fn every_answer_says_what_helps() {
        let api = |code| kube::Error::Api(Status::failure("no", "Reason").with_code(code).boxed());
        let deadline = Duration::from_secs(60);
        let table = [
            (api(404), Failure::NotServed),
            (api(403), Failure::Forbidden("no".into())),
            (api(401), Failure::Unauthorized("no".into())),
            (api(503), Failure::Other("no (503)".into())),
            (TimedOut::error(deadline), Failure::TimedOut(deadline)),
            (
                kube::Error::Service("the plugin printed a secret".into()),
                Failure::Other("the connection to the API server failed or was cut".into()),
            ),
        ];
        for (error, failure) in table {
            assert_eq!(Failure::of(&error), failure);
            assert_eq!(Failure::of_watch(&watcher::Error::WatchStartFailed(error)), failure);
        }
        let status = Status::failure("no", "Reason").with_code(403).boxed();
        assert_eq!(Failure::of_watch(&watcher::Error::WatchError(status)), Failure::Forbidden("no".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn each_kind_of_failure_is_reported_once_until_all_was_well_for_a_while() {
        let mut reports = Reports::default();
        let (missing, forbidden) = (Failure::NotServed, |text: &str| Failure::Forbidden(text.to_owned()));
        let steps = [(&missing, true), (&missing, false), (&forbidden("a"), true), (&forbidden("b"), false)];
        for (failure, is_first) in steps {
            assert_eq!(reports.is_first(failure), is_first, "{failure}");
            tokio::time::advance(WELL / 2).await;
        }
        assert!(!reports.is_first(&missing));
        assert!(reports.clear() && !reports.clear());
        assert!(reports.is_first(&missing));
        tokio::time::advance(WELL).await;
        assert!(reports.is_first(&missing), "another outage");
    }
}
