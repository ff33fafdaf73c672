//! [`ConfigError`]: what is wrong with a kubeconfig. Names what to mend, and quotes nothing that may be secret.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::ConnectErrorKind;

/// What is wrong with a kubeconfig.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file could not be read.
    #[error("the kubeconfig {path:?} cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Arc<io::Error>,
    },

    /// No file was named, and there is no home directory to look in.
    #[error("there is no KUBECONFIG in the environment and no home directory")]
    NoPath,

    /// What should be the path of a kubeconfig is a kubeconfig, or another text. It is not quoted.
    #[error("the path of the kubeconfig is none: it holds a text")]
    TextForPath,

    /// The text is no kubeconfig.
    #[error("the kubeconfig{} is not valid{}", Named(.path.as_ref()), At(*.line, *.column))]
    Malformed {
        /// The file; none where the text is of no file.
        path: Option<PathBuf>,
        /// The line, counted from 1; 0 where it is not known.
        line: u64,
        /// The column, counted from 1; 0 where it is not known.
        column: u64,
    },

    /// The files that `KUBECONFIG` names differ in kind or version.
    #[error("the kubeconfigs to merge are not of one kind and version")]
    Unmergeable,

    /// There is no such context.
    #[error("the kubeconfig has no context {context:?}")]
    NoContext {
        /// The context that was asked for.
        context: String,
    },

    /// The context names a cluster that is not there.
    #[error("context {context:?} names the cluster {cluster:?}, which the kubeconfig does not have")]
    NoCluster {
        /// The context.
        context: String,
        /// The cluster it names.
        cluster: String,
    },

    /// The context names no user. For anonymous requests name a user that has no credentials.
    #[error("context {context:?} names no user")]
    NoUser {
        /// The context.
        context: String,
    },

    /// The context names a user that is not there.
    #[error("context {context:?} names the user {user:?}, which the kubeconfig does not have")]
    UnknownUser {
        /// The context.
        context: String,
        /// The user it names.
        user: String,
    },

    /// The cluster has no server.
    #[error("the cluster has no server URL")]
    NoServer,

    /// The server is no URL with a scheme and a host, or what should be its port is none.
    #[error("the server is not a URL with a scheme, a host and, if any, a port from 1 to 65535")]
    MalformedServer,

    /// The server's URL holds a user or a password. They are not sent: use a token or a certificate.
    #[error("the server's URL holds a user or a password: use a token or a certificate")]
    ServerCredentials,

    /// The server's URL holds a query or a fragment, which no request would carry.
    #[error("the server's URL holds a query or a fragment")]
    ServerQuery,

    /// The server's host is neither a name that could be looked up nor an address.
    #[error("the server's host is neither a host name nor an IP address")]
    ServerHost,

    /// The server's scheme is not one that an API server speaks.
    #[error("the server's scheme {scheme:?} is neither https nor http")]
    UnsupportedScheme {
        /// The scheme.
        scheme: String,
    },

    /// The proxy is no URL, or what should be its port is none. It comes from the kubeconfig, or from `HTTPS_PROXY` in
    /// the environment.
    #[error("the proxy is not a URL with a host and, if any, a port from 1 to 65535")]
    MalformedProxy,

    /// `NO_PROXY` in the environment is not understood.
    #[error("NO_PROXY in the environment is not understood")]
    MalformedNoProxy,

    /// The proxy speaks a protocol that is not supported.
    #[error("the proxy's scheme {scheme:?} is not supported")]
    UnsupportedProxy {
        /// The scheme; empty where there is none.
        scheme: String,
    },

    /// The proxy needs a feature that is not enabled.
    #[error("the proxy needs the feature {feature}")]
    ProxyFeature {
        /// The feature.
        feature: &'static str,
    },

    /// A file or an embedded value could not be used.
    #[error("the {material} cannot be read from {path:?}")]
    File {
        /// What it should hold.
        material: CredentialFile,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Arc<io::Error>,
    },

    /// There is no such file, or nobody can tell. The path is not quoted, since what stands there may be the key or the
    /// token itself.
    #[error("the file that {} names cannot be found", .material.path_field())]
    NoFile {
        /// What it should hold: a key or a token.
        material: CredentialFile,
        /// Why not.
        source: Arc<io::Error>,
    },

    /// A key, a certificate or a token stands where the path of a file with it belongs. It is not quoted.
    #[error("{} holds the value itself where a path belongs: give it as {}", .material.path_field(), .material.value_field())]
    ValueForPath {
        /// What it is.
        material: CredentialFile,
    },

    /// The path is of a device, a pipe or a directory.
    #[error("the {material} at {path:?} is no regular file")]
    NoRegularFile {
        /// What it should hold.
        material: CredentialFile,
        /// The path.
        path: PathBuf,
    },

    /// The file is far too large for what it should hold.
    #[error("the {material} at {path:?} is larger than {limit} bytes")]
    TooLarge {
        /// What it should hold.
        material: CredentialFile,
        /// The file.
        path: PathBuf,
        /// What is read at most.
        limit: u64,
    },

    /// The value is not Base64.
    #[error("the {material} is not valid Base64")]
    Base64 {
        /// What it should hold.
        material: CredentialFile,
    },

    /// The value is missing, while its counterpart is there.
    #[error("there is no {material}, though its counterpart is given")]
    Missing {
        /// What is missing.
        material: CredentialFile,
    },

    /// The value is not PEM, or holds nothing of the kind, or something that cannot be used.
    #[error("the {material} holds no usable PEM")]
    Pem {
        /// What it should hold.
        material: CredentialFile,
    },

    /// The client key belongs to another certificate. Told with the feature `rustls-tls`.
    #[error("the client key does not belong to the client certificate")]
    KeyMismatch,

    /// The client key is protected by a passphrase, and nobody is there to be asked for it.
    #[error("the client key is encrypted: give it without a passphrase")]
    EncryptedKey,

    /// The client certificate can be read, and is of a kind that is not supported: version 1 of X.509, say. Told with
    /// the feature `rustls-tls`.
    #[error("the client certificate is not an X.509 certificate of a supported kind: it takes version 3")]
    CertificateKind,

    /// The user has a name and nothing to prove it by. It is not connected as nobody.
    #[error("the user has a username and no password")]
    NoPassword,

    /// The bearer token cannot be sent.
    #[error("the token cannot be used")]
    Token(#[from] TokenError),

    /// The name to expect in the server's certificate is no name.
    #[error("tls-server-name is not a host name")]
    TlsServerName,

    /// The operating system's trust store cannot be used, and the kubeconfig names no certificate authority.
    #[error("the kubeconfig names no certificate authority and the system has none that can be used")]
    NoTrust,

    /// An impersonated user, group, UID or extra cannot be sent in a header.
    #[error("what is to be impersonated cannot be sent in a header")]
    Impersonation,

    /// The authentication provider is not supported: it was removed from Kubernetes, or needs a feature of this crate.
    #[error("the authentication provider {name:?} is not supported: use a credential plugin (exec)")]
    AuthProvider {
        /// The provider.
        name: String,
    },
}

impl ConfigError {
    pub(super) fn kind(&self) -> ConnectErrorKind {
        match self {
            // It may be there in a moment: a Secret that is being mounted, say.
            Self::File { .. } | Self::NoFile { .. } | Self::Token(_) => ConnectErrorKind::NoCredentials,
            _ => ConnectErrorKind::InvalidConfig,
        }
    }

    pub(super) fn field(&self) -> Option<&str> {
        None
    }

    /// Whether trying again without a change fails again.
    pub(super) fn needs_other_config(&self) -> bool {
        !matches!(self, Self::File { .. } | Self::NoFile { .. } | Self::Token(_))
    }
}

/// How the name of a file reads, if there is one.
struct Named<'a, T>(Option<&'a T>);

impl<T: fmt::Debug> fmt::Display for Named<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |name| write!(f, " {name:?}"))
    }
}

/// How a place in a text reads, if it is known.
struct At(u64, u64);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(0, _) => Ok(()),
            Self(line, column) => write!(f, " at line {line}, column {column}"),
        }
    }
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
    /// Whether the value must not be told to anybody.
    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Self::ClientKey | Self::TokenFile)
    }

    /// The field of a kubeconfig that holds a path.
    fn path_field(self) -> &'static str {
        match self {
            Self::CertificateAuthority => "certificate-authority",
            Self::ClientCertificate => "client-certificate",
            Self::ClientKey => "client-key",
            Self::TokenFile => "tokenFile",
            Self::Kubeconfig => "KUBECONFIG",
        }
    }

    /// The field that holds the value itself.
    fn value_field(self) -> &'static str {
        match self {
            Self::CertificateAuthority => "certificate-authority-data",
            Self::ClientCertificate => "client-certificate-data",
            Self::ClientKey => "client-key-data",
            Self::TokenFile => "token",
            Self::Kubeconfig => "a file",
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

/// Why a bearer token cannot be sent. White space around a token is no trouble: it is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// There is nothing in it.
    #[error("the token is empty")]
    Empty,

    /// It holds a line break, a blank or another control character in its midst.
    #[error("the token holds white space or a control character")]
    Unprintable,

    /// It holds something other than ASCII.
    #[error("the token holds a character that is not ASCII")]
    NotAscii,
}
