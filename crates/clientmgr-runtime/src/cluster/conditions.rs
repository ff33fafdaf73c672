//! The conditions in the status of a [`Cluster`](super::Cluster).

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// A type of condition in the status of a [`Cluster`](super::Cluster).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConditionType {
    /// The cluster answers, and controllers get clients.
    Connected,
    /// The cluster is connected as its spec says: with the newest credentials and configuration.
    Ready,
    /// The credentials that the spec names could be read, and the cluster takes them.
    CredentialsValid,
}

impl ConditionType {
    /// All of them, in the order in which a status has them.
    pub const ALL: [Self; 3] = [Self::Connected, Self::Ready, Self::CredentialsValid];

    /// Returns the name, as a condition has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "Connected",
            Self::Ready => "Ready",
            Self::CredentialsValid => "CredentialsValid",
        }
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Returns the condition of this type, if there is one.
pub fn find_condition(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == type_.as_str())
}
