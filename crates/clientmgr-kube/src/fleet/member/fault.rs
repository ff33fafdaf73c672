//! The real identity and the real failure, as the [machine](super::machine) needs to know them.

use super::event::{Class, Fault, SameCluster};
use crate::error::{ConnectError, ConnectErrorKind, Failure};
use crate::probe::Evidence;

impl SameCluster for Evidence {
    fn same(&self, other: &Self) -> bool {
        Self::same(self, other)
    }

    fn merged(self, newer: Self) -> Self {
        Self::merged(self, newer)
    }

    fn shows_less_than(&self, known: &Self) -> bool {
        Self::shows_less_than(self, known)
    }

    fn is_ready(&self) -> bool {
        Self::is_ready(self)
    }
}

impl Fault<Evidence> for ConnectError {
    fn class(&self) -> Class {
        match self.kind() {
            _ if self.failure().is_throttled() => Class::Throttled { retry_after: self.retry_after() },
            ConnectErrorKind::Unauthorized => Class::Unauthorized,
            _ if self.failure().refuses_certificate() => Class::Unauthorized,
            _ if self.needs_other_config() => Class::Config,
            _ if self.failure().is_of_transport() => Class::Transport,
            _ => Class::Other,
        }
    }

    fn is_answer(&self) -> bool {
        self.failure().is_answer()
    }

    fn other_cluster(expected: &Evidence, found: &Evidence) -> Self {
        Self::without_cluster(Failure::OtherCluster { expected: text(expected), found: text(found) })
    }

    fn unknown_incarnation(found: &Evidence) -> Self {
        Self::without_cluster(Failure::UnknownIncarnation { found: text(found) })
    }

    fn identity_hidden(known: &Evidence) -> Self {
        Self::without_cluster(Failure::IdentityHidden { known: text(known) })
    }

    fn may_not_reset() -> Self {
        Self::without_cluster(Failure::MayNotReset)
    }

    fn no_later_revision() -> Self {
        Self::without_cluster(Failure::NoLaterRevision)
    }
}

fn text(evidence: &Evidence) -> String {
    evidence.identity().map(ToString::to_string).unwrap_or_default()
}

#[cfg(all(test, feature = "rustls-tls"))]
mod tests {
    use std::io;

    use rustls::{AlertDescription, Error};

    use super::{Class, Fault};
    use crate::error::{ConnectError, ConnectErrorKind, Failure, TransportError};

    #[test]
    fn a_client_certificate_that_the_handshake_refuses_is_renewed_like_one_that_a_401_refuses() {
        let failed = |alert| {
            let source = io::Error::other(Error::AlertReceived(alert));
            ConnectError::without_cluster(Failure::Transport(TransportError::new(source)))
        };
        let refused = failed(AlertDescription::CertificateExpired);
        assert_eq!((refused.kind(), refused.class()), (ConnectErrorKind::Tls, Class::Unauthorized));
        assert!(!refused.is_answer(), "no request was sent: a transport that it comes from is not installed");
        assert!(ConnectError::without_cluster(Failure::Unauthorized).is_answer());
        assert_eq!(failed(AlertDescription::InternalError).class(), Class::Transport);
    }
}
