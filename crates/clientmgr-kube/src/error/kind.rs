//! [`ConnectErrorKind`]: what to do about a failure.

use std::fmt;

/// The kind of a [`ConnectError`](crate::ConnectError), by what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectErrorKind {
    /// The fleet has no such cluster, or it was removed. Add it.
    NotFound,
    /// The first connection is being made. Wait.
    Connecting,
    /// The configuration cannot be used. Correct the field that the text names.
    InvalidConfig,
    /// The policy of the configuration's origin does not permit a field. Remove it, or change the policy.
    DeniedByPolicy,
    /// A token file, a credential plugin or an authentication provider gave no credentials.
    NoCredentials,
    /// The server refused the credentials (401). Renew them.
    Unauthorized,
    /// No connection to the server could be made, or it was cut.
    Unreachable,
    /// The TLS handshake failed: an unknown authority, another name, an expired certificate.
    Tls,
    /// Something took longer than its deadline.
    Timeout,
    /// The server answers, but says that it is not ready, or fails requests.
    Unhealthy,
    /// Something answers that is not a Kubernetes API server: a login page, say.
    NotKubernetes,
    /// Another cluster answers than the one that the configuration names by its identity.
    OtherCluster,
    /// The configuration [only adopts](crate::Naming::AdoptOnly) incarnations, and does not name the one that answers:
    /// the status does not name it yet. Wait. The writer of the status names it.
    UnknownIncarnation,
    /// The program lacks what a connection needs: a Tokio runtime, a TLS feature, a thread.
    Environment,
    /// The fleet was shut down, and connects nothing any more.
    ShutDown,
    /// Code of this crate panicked. Report it.
    Internal,
}

impl ConnectErrorKind {
    /// Returns the name of the kind, as it is in logs, in metrics and in a status. A name never changes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "NotFound",
            Self::Connecting => "Connecting",
            Self::InvalidConfig => "InvalidConfig",
            Self::DeniedByPolicy => "DeniedByPolicy",
            Self::NoCredentials => "NoCredentials",
            Self::Unauthorized => "Unauthorized",
            Self::Unreachable => "Unreachable",
            Self::Tls => "Tls",
            Self::Timeout => "Timeout",
            Self::Unhealthy => "Unhealthy",
            Self::NotKubernetes => "NotKubernetes",
            Self::OtherCluster => "OtherCluster",
            Self::UnknownIncarnation => "UnknownIncarnation",
            Self::Environment => "Environment",
            Self::ShutDown => "ShutDown",
            Self::Internal => "Internal",
        }
    }
}

impl fmt::Display for ConnectErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::ConnectErrorKind;

    #[test]
    fn alerts_and_statuses_can_rely_on_the_names() {
        let names = [
            (ConnectErrorKind::NotFound, "NotFound"),
            (ConnectErrorKind::Connecting, "Connecting"),
            (ConnectErrorKind::InvalidConfig, "InvalidConfig"),
            (ConnectErrorKind::DeniedByPolicy, "DeniedByPolicy"),
            (ConnectErrorKind::NoCredentials, "NoCredentials"),
            (ConnectErrorKind::Unauthorized, "Unauthorized"),
            (ConnectErrorKind::Unreachable, "Unreachable"),
            (ConnectErrorKind::Tls, "Tls"),
            (ConnectErrorKind::Timeout, "Timeout"),
            (ConnectErrorKind::Unhealthy, "Unhealthy"),
            (ConnectErrorKind::NotKubernetes, "NotKubernetes"),
            (ConnectErrorKind::OtherCluster, "OtherCluster"),
            (ConnectErrorKind::UnknownIncarnation, "UnknownIncarnation"),
            (ConnectErrorKind::Environment, "Environment"),
            (ConnectErrorKind::ShutDown, "ShutDown"),
            (ConnectErrorKind::Internal, "Internal"),
        ];
        for (value, name) in names {
            assert_eq!((value.as_str(), value.to_string().as_str()), (name, name));
        }
    }
}
