//! [`Failure`]: what a [`ConnectError`](super::ConnectError) holds, in the detail that this crate decides by.

use std::time::Duration;

use super::config::ConfigError;
use super::field_error::FieldError;
use super::kind::ConnectErrorKind;
use super::plugin::PluginError;
use super::provider::AuthProviderError;
use super::transport::{Handshake, TransportError, Unreachable};

/// What went wrong while a cluster was connected, probed or served.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the fleet has no such cluster: add it with `upsert`")]
    Unknown,

    #[error("the cluster was removed from the fleet")]
    Removed,

    #[error("the fleet was shut down")]
    ShutDown,

    #[error("the cluster's task panicked: please report it, and add the cluster again with `upsert`")]
    Panicked,

    #[error("the first connection is being made")]
    Connecting,

    #[error("a fleet needs a Tokio runtime with time and I/O enabled: call from within one")]
    NoRuntime,

    #[error("no cryptography for TLS: enable the feature ring or aws-lc-rs, or install a process-wide CryptoProvider")]
    #[cfg_attr(not(feature = "rustls-tls"), expect(dead_code, reason = "only rustls reports it"))]
    NoCryptoProvider,

    #[error("no TLS: enable the feature rustls-tls or openssl-tls")]
    NoTlsStack,

    #[error(transparent)]
    Config(#[from] ConfigError),

    /// As `Config`, with the path of the field.
    #[error(transparent)]
    Field(#[from] FieldError),

    #[error(transparent)]
    Plugin(#[from] PluginError),

    #[error(transparent)]
    AuthProvider(#[from] AuthProviderError),

    /// Most likely a file system hangs. Meanwhile no other blocking work starts for this cluster.
    #[error("reading files took longer than {deadline:?}: check the file system they are on")]
    BlockingHangs { deadline: Duration },

    #[error("building the client panicked: please report it")]
    BlockingPanicked,

    #[error("the system gave no thread for blocking work")]
    NoThread,

    #[error("kube refused the configuration")]
    Refused,

    #[error("no answer within {deadline:?}")]
    DeadlinePassed { deadline: Duration },

    #[error(transparent)]
    Transport(#[from] TransportError),

    #[error("the server refused the credentials (401): renew them")]
    Unauthorized,

    #[error("the server answered with status {status}")]
    Status { status: u16, retry_after: Option<Duration> },

    #[error("the server is not a Kubernetes API server: {path} returned something else")]
    NotKubernetes { path: &'static str },

    #[error("another cluster answers: expected {expected}, found {found}")]
    OtherCluster { expected: String, found: String },

    #[error(
        "the server does not say whether it is still {known}: it refuses GET /api/v1/namespaces/kube-system. Wait until it \
         is ready, permit that request, or reset the cluster"
    )]
    IdentityHidden { known: String },

    #[error("the status does not name this incarnation of the cluster yet: {found} answers")]
    UnknownIncarnation { found: String },

    #[error("this process only adopts revisions: reset the cluster in the process that writes its status")]
    MayNotReset,

    #[error(
        "no revision is later than the known one, the end of the calendar: correct the revision that the status or the \
         configuration names, and start the program again"
    )]
    NoLaterRevision,
}

impl Failure {
    pub(crate) fn kind(&self) -> ConnectErrorKind {
        use ConnectErrorKind as Kind;
        match self {
            Self::Unknown | Self::Removed => Kind::NotFound,
            Self::Connecting => Kind::Connecting,
            Self::ShutDown => Kind::ShutDown,
            Self::Panicked | Self::BlockingPanicked => Kind::Internal,
            Self::NoRuntime | Self::NoCryptoProvider | Self::NoTlsStack | Self::NoThread => Kind::Environment,
            Self::Config(error) => error.kind(),
            Self::Field(error) => error.error().kind(),
            Self::Refused | Self::NoLaterRevision => Kind::InvalidConfig,
            Self::Plugin(PluginError::TimedOut { .. }) | Self::BlockingHangs { .. } | Self::DeadlinePassed { .. } => {
                Kind::Timeout
            }
            Self::Plugin(_) | Self::AuthProvider(_) => Kind::NoCredentials,
            Self::Transport(error) => match error.unreached {
                Unreachable::TimedOut => Kind::Timeout,
                Unreachable::Tls(_) => Kind::Tls,
                Unreachable::NoHttp => Kind::NotKubernetes,
                _ => Kind::Unreachable,
            },
            Self::Unauthorized => Kind::Unauthorized,
            Self::Status { .. } | Self::IdentityHidden { .. } => Kind::Unhealthy,
            Self::NotKubernetes { .. } => Kind::NotKubernetes,
            Self::OtherCluster { .. } => Kind::OtherCluster,
            Self::UnknownIncarnation { .. } | Self::MayNotReset => Kind::UnknownIncarnation,
        }
    }

    pub(crate) fn field(&self) -> Option<&str> {
        match self {
            Self::Field(error) => Some(error.path()),
            _ => None,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether only another configuration or program helps.
    pub(crate) fn needs_other_config(&self) -> bool {
        match self {
            Self::Config(error) => error.needs_other_config(),
            Self::Field(error) => error.error().needs_other_config(),
            Self::NoCryptoProvider | Self::NoTlsStack | Self::Refused | Self::NoLaterRevision => true,
            Self::Plugin(error) => error.needs_other_config(),
            Self::AuthProvider(error) => error.needs_other_config(),
            _ => false,
        }
    }

    /// Whether the server is there, is busy, and said nothing against the connection.
    pub(crate) fn is_throttled(&self) -> bool {
        matches!(self, Self::Status { status: 429, .. })
    }

    /// Whether the server refused the client certificate in the handshake: other credentials may help.
    pub(crate) fn refuses_certificate(&self) -> bool {
        matches!(self, Self::Transport(error) if error.unreached == Unreachable::Tls(Handshake::ClientCertificate))
    }

    /// Whether the server answered a request with it.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self, Self::Unauthorized | Self::Status { .. } | Self::NotKubernetes { .. })
    }

    /// Whether a fresh TCP connection might succeed where a pooled one failed.
    pub(crate) fn is_of_transport(&self) -> bool {
        matches!(self, Self::Transport(_) | Self::DeadlinePassed { .. })
    }
}
