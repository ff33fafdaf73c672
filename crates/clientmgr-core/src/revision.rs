//! Revisions: the identity of a connection, and whether one is older than another.

use std::fmt;

/// The identity of a connection: equal revisions mean the same connection.
///
/// # Contract
///
/// - A connection that replaces another has a revision that no connection of that cluster had before.
/// - Where revisions are ordered ([`is_older_than`](Self::is_older_than) can return true), a later connection never has the
///   older revision. A provider that cannot promise this has unordered revisions.
///
/// Order is opt-in. Text and numbers compare, but a smaller hash is not an older one, and treating it as older would hide a
/// replaced connection. Implement the trait for your own type, or wrap a standard one: [`Unordered`] for hashes, [`Ordered`]
/// for counters. For times there is [`ConnectedAt`](crate::ConnectedAt).
///
/// # Example
///
/// ```
/// use clientmgr_core::{Ordered, Revision, Unordered};
///
/// assert!(Ordered(1).is_older_than(&Ordered(2)));
/// assert!(!Unordered("0a1b").is_older_than(&Unordered("9f2c")));
/// ```
pub trait Revision: Clone + fmt::Debug + Eq + Send + Sync + 'static {
    /// Returns whether this revision is known to belong to an earlier connection than `other`.
    ///
    /// Returns false by default, which is correct for every type.
    #[expect(unused_variables, reason = "the default ignores it; the name is for the documentation")]
    fn is_older_than(&self, other: &Self) -> bool {
        false
    }
}

/// A revision without an order, such as a hash of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unordered<T>(pub T);

impl<T: Clone + fmt::Debug + Eq + Send + Sync + 'static> Revision for Unordered<T> {}

/// A revision that only increases, such as a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ordered<T>(pub T);

impl<T: Clone + fmt::Debug + Eq + PartialOrd + Send + Sync + 'static> Revision for Ordered<T> {
    fn is_older_than(&self, other: &Self) -> bool {
        self.0 < other.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Ordered, Revision, Unordered};

    #[test]
    fn an_unordered_revision_is_never_older() {
        for (a, b) in [(1, 1), (1, 2), (2, 1)] {
            assert!(!Unordered(a).is_older_than(&Unordered(b)));
        }
    }

    #[test]
    fn an_ordered_revision_is_older_only_when_smaller() {
        assert!(Ordered(1).is_older_than(&Ordered(2)));
        assert!(!Ordered(2).is_older_than(&Ordered(2)));
        assert!(!Ordered(2).is_older_than(&Ordered(1)));
    }
}
