//! Revisions: the identity of a connection, and whether one is known to be older than another.

use std::fmt;

/// The identity of a connection: equal revisions mean the same connection.
///
/// # Contract
///
/// - A connection that replaces another has a revision that no connection of that cluster had before.
/// - Where revisions are ordered ([`is_older_than`](Self::is_older_than) can be true), a later connection never
///   has the older revision. A provider that cannot promise this has unordered revisions.
///
/// Order is opt-in, because it is dangerous to assume: text and numbers compare, but a hash that happens to be
/// smaller is not older, and taking it for older hides a replaced connection. Implement the trait for a type of your
/// own, or wrap a standard one: [`Unordered`] for hashes, [`Ordered`] for counters and times. Times have a ready
/// type in [`ConnectedAt`](crate::ConnectedAt).
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
    /// Whether this revision is known to be of an earlier connection than `other`.
    ///
    /// False where that cannot be told, which is always right.
    #[expect(unused_variables, reason = "the usual answer does not look; the name is for the documentation")]
    fn is_older_than(&self, other: &Self) -> bool {
        false
    }
}

/// A revision of which only equality means anything, such as a hash of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unordered<T>(pub T);

impl<T: Clone + fmt::Debug + Eq + Send + Sync + 'static> Revision for Unordered<T> {}

/// A revision that only ever grows, such as a counter.
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
