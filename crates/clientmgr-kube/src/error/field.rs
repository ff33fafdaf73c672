//! What of a kubeconfig an error is about: [`Field`], [`CredentialFile`], [`Entry`].

use std::fmt;

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
    CredentialFile(CredentialFile),
}

/// What a file or value of a kubeconfig holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CredentialFile {
    /// `certificate-authority`.
    CertificateAuthority,
    /// `client-certificate`.
    ClientCertificate,
    /// `client-key`.
    ClientKey,
    /// `tokenFile`.
    TokenFile,
    /// A kubeconfig itself.
    Kubeconfig,
}

impl CredentialFile {
    /// Whether the value is secret.
    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Self::ClientKey | Self::TokenFile)
    }

    /// Returns the name of the field that holds a path.
    pub(super) fn path_name(self) -> &'static str {
        match self {
            Self::CertificateAuthority => "certificate-authority",
            Self::ClientCertificate => "client-certificate",
            Self::ClientKey => "client-key",
            Self::TokenFile => "tokenFile",
            Self::Kubeconfig => "KUBECONFIG",
        }
    }

    /// Returns the name of the field that holds the value itself.
    pub(super) fn value_name(self) -> &'static str {
        match self {
            Self::CertificateAuthority => "certificate-authority-data",
            Self::ClientCertificate => "client-certificate-data",
            Self::ClientKey => "client-key-data",
            Self::TokenFile => "token",
            Self::Kubeconfig => "a file",
        }
    }

    /// Returns the field that holds a path, unless that is no field of a kubeconfig.
    pub(crate) fn path_field(self) -> Option<Field> {
        self.field(self.path_name())
    }

    /// Returns the field that holds the value itself, unless that is no field of a kubeconfig.
    pub(crate) fn value_field(self) -> Option<Field> {
        self.field(self.value_name())
    }

    fn field(self, name: &'static str) -> Option<Field> {
        match self {
            Self::CertificateAuthority => Some(Field::Cluster(name)),
            Self::ClientCertificate | Self::ClientKey | Self::TokenFile => Some(Field::User(name)),
            Self::Kubeconfig => None,
        }
    }
}

impl fmt::Display for CredentialFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CertificateAuthority => "certificate authority",
            Self::ClientCertificate => "client certificate",
            Self::ClientKey => "client key",
            Self::TokenFile => "token file",
            Self::Kubeconfig => "kubeconfig",
        })
    }
}

/// A kind of entry of a kubeconfig.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Context,
    Cluster,
    User,
}

impl Entry {
    pub(super) fn field(self) -> Field {
        match self {
            Self::Context => Field::ContextEntry("name"),
            Self::Cluster => Field::ClusterEntry("name"),
            Self::User => Field::UserEntry("name"),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Context => "context",
            Self::Cluster => "cluster",
            Self::User => "user",
        })
    }
}
