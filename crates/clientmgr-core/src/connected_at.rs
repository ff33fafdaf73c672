//! [`ConnectedAt`]: revisions by the time a connection was made, and the source that keeps them strictly increasing.

use std::fmt;
use std::num::NonZeroI64;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

use crate::Revision;

/// The time a connection was made, as a revision, in microseconds.
///
/// A Kubernetes `MicroTime` writes six digits of a second and drops the rest. This drops the rest when it is made, so what
/// comes back from a cluster object's status is equal to what went in.
///
/// There is no `ConnectedAt` for the Unix epoch itself: a zero time in a status means that none was written, and no
/// revision is ever equal to a missing one.
///
/// # Example
///
/// ```
/// use clientmgr_core::{ConnectedAt, Revision};
///
/// let first = ConnectedAt::now();
/// let second = ConnectedAt::now();
/// assert!(first.is_older_than(&second), "two connections never share a revision");
/// assert_eq!(ConnectedAt::from_timestamp(first.to_timestamp()), Some(first));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectedAt(NonZeroI64);

impl ConnectedAt {
    /// The current time, later than every revision this process took before, whatever the wall clock does.
    pub fn now() -> Self {
        static PROCESS: ConnectedAtSource = ConnectedAtSource::new();
        PROCESS.next(Timestamp::now())
    }

    /// The revision a time stands for, cut to microseconds. `None` for the Unix epoch, which stands for no time at all.
    pub fn from_timestamp(time: Timestamp) -> Option<Self> {
        NonZeroI64::new(time.as_microsecond()).map(Self)
    }

    /// The time this revision stands for.
    pub fn to_timestamp(self) -> Timestamp {
        Timestamp::from_microsecond(self.0.get()).unwrap_or(Timestamp::MAX)
    }

    /// The revision of a time in microseconds since the Unix epoch. `None` for zero, and for times beyond the years
    /// -9999 and 9999, which no calendar here reaches.
    pub fn from_unix_micros(micros: i64) -> Option<Self> {
        Self::from_timestamp(Timestamp::from_microsecond(micros).ok()?)
    }

    /// Microseconds since the Unix epoch.
    pub fn as_unix_micros(self) -> i64 {
        self.0.get()
    }
}

impl Revision for ConnectedAt {
    fn is_older_than(&self, other: &Self) -> bool {
        self < other
    }
}

impl fmt::Display for ConnectedAt {
    /// RFC 3339 in UTC with exactly six digits, as Kubernetes writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}", self.to_timestamp())
    }
}

impl fmt::Debug for ConnectedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Gives out revisions that strictly increase, whatever the clock says that it is fed.
///
/// A process needs one only, behind [`ConnectedAt::now`]; tests make their own and feed it the clock they like.
///
/// # Example
///
/// ```
/// use clientmgr_core::ConnectedAtSource;
///
/// let source = ConnectedAtSource::new();
/// let noon = "2026-11-22T12:00:00Z".parse().unwrap();
/// let before_noon = "2026-11-22T11:00:00Z".parse().unwrap();
/// let first = source.next(noon);
/// assert_eq!(first.to_string(), "2026-11-22T12:00:00.000000Z");
/// assert_eq!(source.next(before_noon).to_string(), "2026-11-22T12:00:00.000001Z");
/// ```
#[derive(Debug)]
pub struct ConnectedAtSource {
    last: AtomicI64,
}

impl ConnectedAtSource {
    /// A source that has given out nothing yet.
    pub const fn new() -> Self {
        Self { last: AtomicI64::new(i64::MIN) }
    }

    /// `wall` in microseconds, or the first microsecond after the last revision where `wall` is not later than it.
    pub fn next(&self, wall: Timestamp) -> ConnectedAt {
        let wall = wall.as_microsecond();
        let last = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(successor(last, wall).get()))
            .unwrap_or_else(|last| last);
        ConnectedAt(successor(last, wall))
    }
}

impl Default for ConnectedAtSource {
    fn default() -> Self {
        Self::new()
    }
}

/// The first microsecond that is later than `last`, not earlier than `wall`, and not zero.
fn successor(last: i64, wall: i64) -> NonZeroI64 {
    NonZeroI64::new(wall.max(last.saturating_add(1))).unwrap_or(const { NonZeroI64::new(1).unwrap() })
}

#[cfg(test)]
mod tests {
    use super::{ConnectedAt, ConnectedAtSource, successor};
    use crate::Revision;

    fn micros(micros: i64) -> ConnectedAt {
        ConnectedAt::from_unix_micros(micros).unwrap()
    }

    #[test]
    fn a_time_is_cut_to_the_microseconds_that_survive_the_wire() {
        let fine = "2026-11-22T12:00:00.123456789Z".parse().unwrap();
        let revision = ConnectedAt::from_timestamp(fine).unwrap();
        assert_eq!(revision.to_string(), "2026-11-22T12:00:00.123456Z");
        let from_wire = ConnectedAt::from_timestamp(revision.to_string().parse().unwrap());
        assert_eq!(from_wire, Some(revision));
        assert_eq!(format!("{revision:?}"), revision.to_string());
    }

    #[test]
    fn six_digits_are_written_even_when_they_are_zero() {
        assert_eq!(micros(1_000_000).to_string(), "1970-01-01T00:00:01.000000Z");
    }

    #[test]
    fn the_zero_time_is_no_revision() {
        assert_eq!(ConnectedAt::from_unix_micros(0), None);
        assert_eq!(ConnectedAt::from_timestamp("1970-01-01T00:00:00.000000999Z".parse().unwrap()), None);
        assert_eq!(micros(1).as_unix_micros(), 1);
        assert_eq!(micros(-1).as_unix_micros(), -1);
    }

    #[test]
    fn a_time_beyond_the_calendar_is_no_revision() {
        assert_eq!(ConnectedAt::from_unix_micros(i64::MAX), None);
        assert_eq!(ConnectedAt::from_unix_micros(i64::MIN), None);
    }

    #[test]
    fn the_successor_follows_the_clock_and_never_stands_still() {
        // (last, wall clock) → next
        let table = [
            ((i64::MIN, 50), 50), // the first one
            ((10, 50), 50),       // the clock went on
            ((50, 50), 51),       // it stood still
            ((50, 10), 51),       // it went back
            ((-1, -5), 1),        // zero is no revision
            ((i64::MIN, 0), 1),
        ];
        for ((last, wall), next) in table {
            assert_eq!(successor(last, wall).get(), next, "after {last} at {wall}");
        }
    }

    #[test]
    fn a_source_keeps_increasing_while_the_clock_runs_backwards() {
        let source = ConnectedAtSource::default();
        let walls = [100, 90, 90, 101, 500, 1];
        let revisions = walls.map(|wall| source.next(micros(wall).to_timestamp()).as_unix_micros());
        assert_eq!(revisions, [100, 101, 102, 103, 500, 501]);
    }

    #[test]
    fn threads_never_share_a_revision() {
        let source = ConnectedAtSource::new();
        let wall = micros(1).to_timestamp();
        let mut taken: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..1_000).map(|_| source.next(wall)).collect::<Vec<_>>())).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        taken.sort();
        taken.dedup();
        assert_eq!(taken.len(), 4_000);
    }

    #[test]
    fn now_is_about_now_and_later_than_the_last() {
        let before = jiff::Timestamp::now().as_microsecond();
        let (first, second) = (ConnectedAt::now(), ConnectedAt::now());
        assert!(first.is_older_than(&second));
        assert!(!second.is_older_than(&first));
        assert!(!first.is_older_than(&first));
        assert!(first.as_unix_micros() >= before);
    }

    #[test]
    fn an_optional_revision_costs_no_extra_byte() {
        assert_eq!(size_of::<Option<ConnectedAt>>(), 8);
    }
}
