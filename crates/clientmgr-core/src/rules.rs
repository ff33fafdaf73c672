//! The staleness rules: pure decisions on what is held, observed and current. No map, no await, no clock.
//!
//! The table of every state and input is in `docs/staleness.md`; the tests hold this file against it.

use crate::Revision;

/// What is known of one object on one cluster. `Absent` is a missing entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry<R> {
    /// The object obtained a client of this revision, and may have state built on it.
    ///
    /// Left for [`ResetDue`](Self::ResetDue) by a `refresh` that observes another connection, and by being forgotten.
    Holding(R),
    /// The object must drop whatever it has: it was told so, or it met an error before it ever obtained a client.
    ///
    /// Left for [`Holding`](Self::Holding) by the next client obtained, and by being forgotten.
    ResetDue,
}

/// Whether an object must drop the state it built on its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "on `Reset` drop all state tied to the old client before asking for a new one"]
pub enum Refresh {
    /// The connection is the one the object knows. Nothing to do.
    Unchanged,
    /// Drop all state tied to the old client, then ask for a client. Said again until a client was obtained.
    Reset,
}

impl Refresh {
    /// Whether this is [`Reset`](Self::Reset).
    pub fn is_reset(self) -> bool {
        self == Self::Reset
    }
}

/// What becomes of a request for a client that the provider has a connection for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admission<R> {
    /// The client is handed out.
    Granted,
    /// The cluster object does not tell of the current connection.
    ClusterOutdated,
    /// The object holds a client of another connection, and was not told to drop it.
    RefreshRequired {
        /// The revision of the client that the object holds.
        held: R,
    },
}

/// A decision: the entry to store, where it changes, and what is said.
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

/// The entry that a request in vain leaves behind.
///
/// Recovery must be announced: an object that met an error before it held a client is told when the client has come.
#[inline]
pub(crate) fn after_failure<R>(entry: Option<&Entry<R>>) -> Option<Entry<R>> {
    entry.is_none().then_some(Entry::ResetDue)
}
