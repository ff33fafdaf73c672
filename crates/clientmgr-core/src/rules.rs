//! The staleness rules: pure decisions on what is held, observed and current. No map, no await, no clock.
//!
//! The table of every state and input is in `docs/staleness.md`; the tests hold this file against it.

use crate::revision::Revision;

/// What is known of one object on one cluster. `Absent` is a missing entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry<R> {
    /// The object obtained a client of this revision, and may have state built on it.
    ///
    /// Exits: to [`ResetDue`](Self::ResetDue) by a `refresh` that observes another connection; to absent by a forget.
    Holding(R),
    /// The object must drop its state: `refresh` said so, or a request failed before the object obtained a client.
    ///
    /// Exits: to [`Holding`](Self::Holding) by the next client obtained; to absent by a forget.
    ResetDue,
}

/// Whether an object must drop the state it built on its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "on `Reset` drop all state tied to the old client before asking for a new one"]
pub enum Refresh {
    /// The connection is the one that the object holds a client of. Nothing to do.
    Unchanged,
    /// Drop all state tied to the old client, then request a client. Returned again until a client was obtained.
    Reset,
}

impl Refresh {
    /// Returns whether this is [`Reset`](Self::Reset).
    pub fn is_reset(self) -> bool {
        self == Self::Reset
    }
}

/// The decision on a request for a client of a cluster with a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admission<R> {
    /// The object gets the client.
    Granted,
    /// The cluster object does not name the current connection.
    ClusterOutdated,
    /// The object holds a client of another connection, and did not refresh.
    RefreshRequired {
        /// The revision of the client that the object holds.
        held: R,
    },
}

/// A decision: the entry to store, where it changes, and the result.
pub(crate) type Decision<R, T> = (Option<Entry<R>>, T);

/// Decides a `refresh`.
#[inline]
pub(crate) fn refresh<R: Revision>(entry: Option<&Entry<R>>, observed: Option<&R>) -> Decision<R, Refresh> {
    match (entry, observed) {
        (None, _) => (None, Refresh::Unchanged),
        (Some(Entry::ResetDue), _) => (None, Refresh::Reset),
        // An older observation is a lagging cache: what is held is younger, and good.
        (Some(Entry::Holding(held)), Some(observed)) if observed == held || observed.is_older_than(held) => {
            (None, Refresh::Unchanged)
        }
        (Some(Entry::Holding(_)), _) => (Some(Entry::ResetDue), Refresh::Reset),
    }
}

/// Decides a request for a client of a connection whose revision is `current`.
#[inline]
pub(crate) fn admit<R: Revision>(
    entry: Option<&Entry<R>>,
    observed: Option<&R>,
    current: &R,
) -> Decision<R, Admission<R>> {
    if observed != Some(current) {
        return (after_failure(entry), Admission::ClusterOutdated);
    }
    match entry {
        Some(Entry::Holding(held)) if held == current => (None, Admission::Granted),
        Some(Entry::Holding(held)) => (None, Admission::RefreshRequired { held: held.clone() }),
        Some(Entry::ResetDue) | None => (Some(Entry::Holding(current.clone())), Admission::Granted),
    }
}

/// Returns the entry to store after a failed request, where it changes.
///
/// Recovery must be announced: an object whose request failed before it held a client gets a Reset once there is one.
#[inline]
pub(crate) fn after_failure<R>(entry: Option<&Entry<R>>) -> Option<Entry<R>> {
    entry.is_none().then_some(Entry::ResetDue)
}
