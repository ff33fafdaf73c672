//! [`Source`]: what a configuration is made from.

use kube::Config;

use super::selection::Selection;

/// What a configuration is made from.
pub(crate) enum Source {
    /// A context of a kubeconfig, or the Pod's service account.
    Selection(Box<Selection>),
    /// A ready configuration.
    Config(Box<Config>),
}
