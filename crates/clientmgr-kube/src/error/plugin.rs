//! [`PluginError`]: why a credential plugin gave no credentials. Never quotes what the plugin printed, nor its
//! arguments.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::token::TokenError;

/// Why a credential plugin (`exec` in a kubeconfig) gave no credentials.
///
/// What the plugin printed is not kept, because it may hold a credential. Run the command by hand to see it.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum PluginError {
    /// There is no such command. Install it.
    #[error("the credential plugin {command:?} is not installed")]
    NotInstalled {
        /// The command.
        command: String,
    },

    /// The command reads like a line of a shell: there is no such file, and it holds a blank. No more than its first
    /// word is quoted, since an argument may be secret.
    #[error("the credential plugin {command:?} is given as a command line: put its arguments into args")]
    CommandLine {
        /// The first word.
        command: String,
    },

    /// The command could not be started.
    #[error("the credential plugin {command:?} cannot be started")]
    NotStarted {
        /// The command.
        command: String,
        /// Why not.
        source: Arc<io::Error>,
    },

    /// The plugin did not end in time, and was killed.
    #[error("the credential plugin {command:?} did not answer within {deadline:?}")]
    TimedOut {
        /// The command.
        command: String,
        /// The deadline as it was set. Other steps of the attempt may have taken their part of it.
        deadline: Duration,
    },

    /// The plugin ended with an error.
    #[error("the credential plugin {command:?} failed{}", Code(*.code))]
    Failed {
        /// The command.
        command: String,
        /// Its exit code; none where a signal ended it.
        code: Option<i32>,
    },

    /// The plugin printed more than any credential needs.
    #[error("the credential plugin {command:?} printed more than {limit} bytes")]
    TooMuchOutput {
        /// The command.
        command: String,
        /// What is read at most.
        limit: u64,
    },

    /// What the plugin printed is no `ExecCredential`.
    #[error("the credential plugin {command:?} printed no ExecCredential, neither as JSON nor as YAML")]
    NoCredential {
        /// The command.
        command: String,
    },

    /// The plugin printed an `ExecCredential` of another version than the kubeconfig names.
    #[error("the credential plugin {command:?} printed an ExecCredential of another apiVersion than it was asked for")]
    OtherVersion {
        /// The command.
        command: String,
    },

    /// The plugin printed an `ExecCredential` that lacks a token and a certificate with its key.
    #[error("the credential plugin {command:?} printed an ExecCredential without a usable token or certificate")]
    Garbage {
        /// The command.
        command: String,
    },

    /// The plugin printed an `ExecCredential` whose time of expiry is not by RFC 3339.
    #[error(
        "the credential plugin {command:?} printed an ExecCredential whose expirationTimestamp is not an RFC 3339 time"
    )]
    NoTime {
        /// The command.
        command: String,
    },

    /// The plugin gave a token that cannot be sent.
    #[error("the token of the credential plugin {command:?} cannot be used")]
    Token {
        /// The command.
        command: String,
        /// Why not.
        source: TokenError,
    },
}

impl PluginError {
    /// Whether only another configuration helps. A plugin that is missing can be installed, and one that fails may do so for
    /// a while.
    pub(super) fn needs_other_config(&self) -> bool {
        match self {
            Self::CommandLine { .. } => true,
            // A NUL, or too much, in the arguments or the environment.
            Self::NotStarted { source, .. } => {
                matches!(source.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::ArgumentListTooLong)
            }
            _ => false,
        }
    }
}

/// How a plugin's end reads.
struct Code(Option<i32>);

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(code) => write!(f, " with exit code {code}"),
            None => f.write_str(": a signal ended it"),
        }
    }
}

/// What is wrong with the configuration of a credential plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExecProblem {
    #[error("a credential plugin needs a command")]
    NoCommand,

    #[error("a credential plugin needs an apiVersion: client.authentication.k8s.io/v1")]
    NoVersion,

    #[error("the apiVersion is not supported: use client.authentication.k8s.io/v1, or v1beta1 of it")]
    Version,

    /// As kubectl. `v1beta1` has a default.
    #[error("a credential plugin needs an interactiveMode: Never or IfAvailable")]
    NoMode,

    #[error("the credential plugin needs a terminal and this program has none: set interactiveMode to Never")]
    NeedsTerminal,

    #[error("an environment variable of a credential plugin needs a name and a value")]
    Variable,

    /// kubectl refuses this too.
    #[error("the user has a credential plugin and an authentication provider: remove one of them")]
    AndAuthProvider,
}
