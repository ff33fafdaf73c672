//! What a [`ConfigError`] is about, and whether only another configuration helps.

use super::config::ConfigError;
use super::field::{About, CredentialFile, Field};
use super::kind::ConnectErrorKind;

impl ConfigError {
    pub(crate) fn kind(&self) -> ConnectErrorKind {
        match self {
            // It may be there in a moment: a Secret that is being mounted, say.
            Self::File { .. } | Self::NoFile { .. } | Self::Token { .. } => ConnectErrorKind::NoCredentials,
            Self::Denied { .. } => ConnectErrorKind::DeniedByPolicy,
            Self::Unusable { kind, .. } => *kind,
            _ => ConnectErrorKind::InvalidConfig,
        }
    }

    /// Returns what the error is about, where that is one field of a kubeconfig.
    pub(crate) fn about(&self) -> Option<About> {
        let field = match self {
            Self::Denied { field, .. } => *field,
            Self::Version { field, .. } => Field::Top(field),
            Self::NoCurrentContext => Field::Top("current-context"),
            Self::Duplicate { entry, .. } => entry.field(),
            Self::NoContext { .. } => Field::ContextEntry("context"),
            Self::NoCluster { .. } => Field::ContextEntry("context.cluster"),
            Self::NoUser { .. } | Self::UnknownUser { .. } => Field::ContextEntry("context.user"),
            Self::NoServer
            | Self::MalformedServer
            | Self::ServerCredentials
            | Self::ServerQuery
            | Self::ServerHost
            | Self::UnsupportedScheme { .. } => Field::Cluster("server"),
            Self::MalformedProxy | Self::UnsupportedProxy { .. } | Self::ProxyFeature { .. } => {
                Field::Cluster("proxy-url")
            }
            Self::InsecureWithAuthority => Field::Cluster("insecure-skip-tls-verify"),
            Self::TlsServerName => Field::Cluster("tls-server-name"),
            Self::ValueForPath { material }
            | Self::NoFile { material, .. }
            | Self::NoRegularFile { material, .. }
            | Self::TooLarge { material, .. }
            | Self::File { material, .. } => material.path_field()?,
            Self::Missing { material } | Self::ValueAndFile { material } => material.value_field()?,
            Self::Base64 { material } | Self::Pem { material } => return Some(About::CredentialFile(*material)),
            Self::KeyMismatch | Self::EncryptedKey => return Some(About::CredentialFile(CredentialFile::ClientKey)),
            Self::CertificateKind => return Some(About::CredentialFile(CredentialFile::ClientCertificate)),
            Self::NoPassword | Self::SeveralCredentials => Field::User("username"),
            Self::NoUsername => Field::User("password"),
            Self::Token { field, .. }
            | Self::Exec { field, .. }
            | Self::Impersonation { field }
            | Self::ImpersonationWithoutUser { field } => Field::User(field),
            Self::AuthProvider { .. } => Field::User("auth-provider.name"),
            Self::NoIdToken => Field::User("auth-provider.config.id-token"),
            Self::Unreadable { .. }
            | Self::NoPath
            | Self::TextForPath
            | Self::Malformed { .. }
            | Self::LargeKubeconfig { .. }
            | Self::Unmergeable
            | Self::ProxyVariable { .. }
            | Self::NotInCluster { .. }
            | Self::Unusable { .. }
            | Self::NoTrust => return None,
        };
        Some(About::Field(field))
    }

    /// Returns the path of the field, where it is not a field of a kubeconfig.
    pub(crate) fn path(&self) -> Option<&str> {
        match self {
            Self::Unusable { field, .. } => field.as_deref(),
            _ => None,
        }
    }

    /// Whether trying again without a change fails again.
    pub(super) fn needs_other_config(&self) -> bool {
        self.kind() != ConnectErrorKind::NoCredentials
    }
}
