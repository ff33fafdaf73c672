//! [`Impersonation`]: the user as which a program makes its requests, beside the credentials that it has.

use std::collections::BTreeMap;

use kube::config::AuthInfo;

/// The user that requests are made as, set by the program: see
/// [`ClusterConfig::with_impersonation`](super::ClusterConfig::with_impersonation).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impersonation {
    /// The user's name.
    pub user: String,
    /// The user's UID.
    pub uid: Option<String>,
    /// The user's groups.
    pub groups: Vec<String>,
    /// Extra fields of the user, each with its values.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Impersonation {
    /// Returns the impersonation of `user`, with nothing else.
    pub fn new(user: impl Into<String>) -> Self {
        Self { user: user.into(), ..Self::default() }
    }

    /// Replaces the user that `user` impersonates.
    pub(super) fn apply(&self, user: &mut AuthInfo) {
        let Self { user: name, uid, groups, extra } = self.clone();
        user.impersonate = Some(name);
        user.impersonate_uid = uid;
        user.impersonate_groups = Some(groups).filter(|groups| !groups.is_empty());
        user.impersonate_user_extra =
            Some(extra.into_iter().collect()).filter(|extra: &std::collections::HashMap<_, _>| !extra.is_empty());
    }
}
