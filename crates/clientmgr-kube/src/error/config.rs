//! [`ConfigError`]: what is wrong with a kubeconfig. Says what to fix, and quotes nothing that may be secret.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::denied::Permission;
use super::field::{CredentialFile, Entry, Field};
use super::kind::ConnectErrorKind;
use super::plugin::ExecProblem;
use super::token::TokenError;

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
    #[error("KUBECONFIG holds a kubeconfig or another text instead of a path")]
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
    #[error("the files in KUBECONFIG differ in kind or apiVersion")]
    Unmergeable,

    /// The kubeconfig is larger than one from a Secret may be.
    #[error("the kubeconfig is larger than {limit} bytes")]
    LargeKubeconfig {
        /// How large it may be.
        limit: u64,
    },

    /// The kubeconfig is of another kind or version.
    #[error("{field} {found:?} is not supported: use {expected:?}")]
    Version {
        /// `apiVersion` or `kind`.
        field: &'static str,
        /// What it is.
        found: String,
        /// What it takes.
        expected: &'static str,
    },

    /// The program does not run in a Pod.
    #[error("the program does not run in a cluster: {variable} is not set to the API server's address")]
    NotInCluster {
        /// The variable that is missing or wrong.
        variable: &'static str,
    },

    /// The policy denies a field.
    #[error("{permission}")]
    Denied {
        /// What is denied.
        permission: Permission,
        /// The field that needs it.
        field: Field,
    },

    /// Which context is meant is open.
    #[error("the kubeconfig has no current-context: set it, or name a context")]
    NoCurrentContext,

    /// Two entries have the same name. kubectl refuses the whole kubeconfig.
    #[error("the kubeconfig has more than one {entry} named {name:?}: rename or remove one")]
    Duplicate {
        /// What it has twice.
        entry: Entry,
        /// The name.
        name: String,
    },

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

    /// The proxy is no URL, or what should be its port is none.
    #[error("the proxy is not a URL with a host and, if any, a port from 1 to 65535")]
    MalformedProxy,

    /// The proxy that the environment names cannot be used.
    #[error("the proxy that {variable} in the environment names cannot be used")]
    ProxyVariable {
        /// The variable.
        variable: &'static str,
        /// Why not.
        source: Box<ConfigError>,
    },

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

    /// There is no such file, or it cannot be looked up. The path is not quoted, since what stands there may be the key or the
    /// token itself.
    #[error("the file that {} names cannot be found", .material.path_name())]
    NoFile {
        /// What it should hold: a key or a token.
        material: CredentialFile,
        /// Why not.
        source: Arc<io::Error>,
    },

    /// A key, a certificate or a token stands where the path of a file with it belongs. It is not quoted.
    #[error("{} holds the value itself where a path belongs: give it as {}", .material.path_name(), .material.value_name())]
    ValueForPath {
        /// What it is.
        material: CredentialFile,
    },

    /// The path is of a device, a pipe or a directory.
    #[error("the {material} at {path:?} is not a regular file")]
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

    /// The value is embedded and in a file. kubectl refuses this too.
    #[error("the {material} is given twice, as {} and as {}: remove one", .material.value_name(), .material.path_name())]
    ValueAndFile {
        /// What is given twice.
        material: CredentialFile,
    },

    /// The certificate authority would be ignored. kubectl refuses this too.
    #[error("a certificate authority is given, and the server's certificate is not to be verified: remove one of them")]
    InsecureWithAuthority,

    /// The value is missing, while its counterpart is there.
    #[error("the {material} is missing, and its counterpart is given")]
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

    /// The client key belongs to another certificate. Found with the feature `rustls-tls`.
    #[error("the client key does not belong to the client certificate")]
    #[cfg_attr(not(feature = "rustls-tls"), expect(dead_code, reason = "only rustls reports it"))]
    KeyMismatch,

    /// The client key is protected by a passphrase, which a program cannot be asked for.
    #[error("the client key is encrypted: give it without a passphrase")]
    EncryptedKey,

    /// The client certificate can be read, and is of a kind that is not supported: version 1 of X.509, say. Found
    /// with the feature `rustls-tls`.
    #[error("the client certificate is not an X.509 certificate of a supported kind: it takes version 3")]
    #[cfg_attr(not(feature = "rustls-tls"), expect(dead_code, reason = "only rustls reports it"))]
    CertificateKind,

    /// The user has a name and no credential. It must not be anonymous instead.
    #[error("the user has a username and no password")]
    NoPassword,

    /// The user has a password and no name.
    #[error("the user has a password and no username")]
    NoUsername,

    /// kubectl refuses this too: which of the two the server would look at is open.
    #[error("the user has a username and a token: remove one of them")]
    SeveralCredentials,

    /// The bearer token cannot be sent.
    #[error("the token cannot be used")]
    Token {
        /// `token`, `tokenFile` or the field of an authentication provider.
        field: &'static str,
        /// Why not.
        source: TokenError,
    },

    /// The credential plugin cannot be run as it is configured.
    #[error("{problem}")]
    Exec {
        /// `exec`, or a field of it.
        field: &'static str,
        /// What is wrong.
        problem: ExecProblem,
    },

    /// The name to expect in the server's certificate is not a host name.
    #[error("tls-server-name is not a host name")]
    TlsServerName,

    /// The operating system's trust store cannot be used, and the kubeconfig names no certificate authority.
    #[error("the kubeconfig names no certificate authority and the system has none that can be used")]
    #[cfg_attr(not(feature = "rustls-tls"), expect(dead_code, reason = "only rustls reports it"))]
    NoTrust,

    /// An impersonated user, group, UID or extra cannot be sent in a header.
    #[error("it contains characters that an HTTP header cannot carry")]
    Impersonation {
        /// The field.
        field: &'static str,
    },

    /// A group, UID or extra is to be impersonated without a user. API servers refuse that.
    #[error("impersonating a UID, a group or an extra needs a user: set `as`")]
    ImpersonationWithoutUser {
        /// The field.
        field: &'static str,
    },

    /// The authentication provider `oidc` needs one to begin with, also where it can be renewed.
    #[error("the authentication provider has no id-token: log in, or use a credential plugin (exec)")]
    NoIdToken,

    /// What declares the cluster cannot be made a configuration.
    #[error("{text}")]
    Unusable {
        /// What kind of failure it is.
        kind: ConnectErrorKind,
        /// The path of the field, in the words of what declares the cluster.
        field: Option<Box<str>>,
        /// What is wrong.
        text: Box<str>,
    },

    /// The authentication provider is not supported: it was removed from Kubernetes, or needs a feature of this crate.
    #[error("the authentication provider {name:?} is not supported: use a credential plugin (exec)")]
    AuthProvider {
        /// The provider.
        name: String,
    },
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
