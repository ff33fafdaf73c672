//! [`ConnectedAt`]: revisions by the time of a connection, and the source that keeps them strictly increasing.

use std::fmt;
use std::num::NonZeroI64;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

use crate::revision::Revision;

/// The time a connection was made, as a revision, in microseconds.
///
/// A Kubernetes `MicroTime` keeps six digits of a second. A `ConnectedAt` is cut to these when it is created, so that it
/// is equal to itself after a round trip through the status of a cluster object.
///
/// The Unix epoch is not a `ConnectedAt`: a zero time in a status means that no time was written.
///
/// With the feature `serde` it is written as a `MicroTime` (RFC 3339 in UTC with six digits) and read from any RFC 3339
/// time. With the feature `schemars` its schema is a string of format `date-time`. So a status holds an
/// `Option<ConnectedAt>`.
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
    /// Returns the current time, later than every revision that this process took before, whatever the wall clock does.
    ///
    /// # Panics
    ///
    /// If there is no later one: the last one was the end of the calendar.
    pub fn now() -> Self {
        PROCESS.next(Timestamp::now())
    }

    /// Returns a revision for a connection that replaces `known`: the current time or, where the clock is behind, the
    /// first microsecond after `known`.
    ///
    /// Another process may have created `known`, with another clock. A revision that is older than a known one would pass
    /// for a lagging read of a cache, and the objects that hold the known one would never be reset. Like
    /// [`now`](Self::now), never returns a revision twice. `None` where the known one is of the year 9999, the last one of the
    /// calendar: no cluster was connected then, and `now` could find no later one.
    ///
    /// # Examples
    ///
    /// ```
    /// use clientmgr_core::ConnectedAt;
    ///
    /// let ahead = ConnectedAt::from_timestamp("2999-01-01T00:00:00Z".parse().unwrap()).unwrap();
    /// assert_eq!(ConnectedAt::successor_of(ahead).unwrap().to_string(), "2999-01-01T00:00:00.000001Z");
    /// ```
    pub fn successor_of(known: Self) -> Option<Self> {
        PROCESS.successor_of(known, Timestamp::now())
    }

    /// Returns the first revision after this one. `None` at the end of the calendar.
    pub fn next(self) -> Option<Self> {
        // Zero is no revision.
        [1, 2].into_iter().find_map(|step| Self::from_unix_micros(self.as_unix_micros().checked_add(step)?))
    }

    /// Returns the revision of a time, cut to microseconds. `None` for the Unix epoch, and for the last second of the calendar,
    /// whose microseconds cannot be read back.
    pub fn from_timestamp(time: Timestamp) -> Option<Self> {
        Self::from_unix_micros(time.as_microsecond())
    }

    /// Returns the time of this revision.
    pub fn to_timestamp(self) -> Timestamp {
        Timestamp::from_microsecond(self.0.get()).unwrap_or(Timestamp::MAX)
    }

    /// Returns the revision of a time in microseconds since the Unix epoch. `None` for zero, and for times beyond the years
    /// -9999 and 9999.
    pub fn from_unix_micros(micros: i64) -> Option<Self> {
        Timestamp::from_microsecond(micros).ok()?;
        NonZeroI64::new(micros).map(Self)
    }

    /// Returns the microseconds since the Unix epoch.
    pub fn as_unix_micros(self) -> i64 {
        self.0.get()
    }
}

/// The error of parsing a text as a [`ConnectedAt`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an RFC 3339 time other than the Unix epoch")]
pub struct ParseConnectedAtError {
    text: String,
}

impl FromStr for ConnectedAt {
    type Err = ParseConnectedAtError;

    /// Parses any RFC 3339 time but the Unix epoch, and cuts it to microseconds.
    fn from_str(text: &str) -> Result<Self, ParseConnectedAtError> {
        let time = text.parse().ok().and_then(Self::from_timestamp);
        time.ok_or_else(|| ParseConnectedAtError { text: text.to_owned() })
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

/// When the last year of the calendar begins, in microseconds since the Unix epoch.
const LAST_YEAR: i64 = 253_370_764_800_000_000;

/// The source behind [`ConnectedAt::now`].
static PROCESS: ConnectedAtSource = ConnectedAtSource::new();

/// Creates revisions that strictly increase, whatever times it is given.
///
/// A process needs only one, behind [`ConnectedAt::now`]. Tests create their own and choose the times.
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
    /// Returns a source that has created no revision yet.
    pub const fn new() -> Self {
        Self { last: AtomicI64::new(i64::MIN) }
    }

    /// Returns `wall` in microseconds or, where `wall` is not later than the last revision, the microsecond after that.
    ///
    /// # Panics
    ///
    /// If the last revision was the end of the calendar.
    pub fn next(&self, wall: Timestamp) -> ConnectedAt {
        self.later_than(None, wall).expect("a clock that is not at the end of the calendar")
    }

    /// Returns the [`next`](Self::next) revision, which is also later than `known`. See [`ConnectedAt::successor_of`].
    pub fn successor_of(&self, known: ConnectedAt, wall: Timestamp) -> Option<ConnectedAt> {
        if known.as_unix_micros() >= LAST_YEAR { None } else { self.later_than(Some(known), wall) }
    }

    fn later_than(&self, known: Option<ConnectedAt>, wall: Timestamp) -> Option<ConnectedAt> {
        let next = |last: i64| successor(ConnectedAt::from_unix_micros(last).max(known), wall);
        let update = |last| Some(next(last)?.as_unix_micros());
        next(self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update).ok()?)
    }
}

impl Default for ConnectedAtSource {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the first revision that is later than `last` and not earlier than `wall`.
fn successor(last: Option<ConnectedAt>, wall: Timestamp) -> Option<ConnectedAt> {
    let wall = match wall.as_microsecond() {
        0 => ConnectedAt::from_unix_micros(1),
        micros => ConnectedAt::from_unix_micros(micros),
    };
    match last {
        None => wall,
        Some(last) => Some(last.next()?).max(wall),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{ConnectedAt, ConnectedAtSource, successor};
    use crate::revision::Revision;

    fn micros(micros: i64) -> ConnectedAt {
        ConnectedAt::from_unix_micros(micros).unwrap()
    }

    #[test]
    fn a_time_is_cut_to_the_microseconds_that_survive_the_wire() {
        let fine = "2026-11-22T12:00:00.123456789Z".parse().unwrap();
        let revision = ConnectedAt::from_timestamp(fine).unwrap();
        assert_eq!(revision.to_string(), "2026-11-22T12:00:00.123456Z");
        assert_eq!(revision.to_string().parse(), Ok(revision));
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
            ((None, 50), 50),     // the first one
            ((Some(10), 50), 50), // the clock went on
            ((Some(50), 50), 51), // it stood still
            ((Some(50), 10), 51), // it went back
            ((Some(-1), -5), 1),  // zero is no revision
            ((None, 0), 1),
        ];
        for ((last, wall), next) in table {
            let wall = Timestamp::from_microsecond(wall).unwrap();
            assert_eq!(successor(last.map(micros), wall), Some(micros(next)), "after {last:?} at {wall}");
        }
    }

    #[test]
    fn the_end_of_the_calendar_has_no_successor_and_does_not_use_up_the_revisions_of_a_source() {
        let last = micros(Timestamp::MAX.as_second() * 1_000_000);
        assert_eq!(ConnectedAt::from_timestamp(Timestamp::MAX), None, "it would not survive the wire");
        assert_eq!(last.to_string().parse(), Ok(last));
        let before = micros(last.as_unix_micros() - 1);
        assert_eq!((before.next(), last.next()), (Some(last), None));
        assert_eq!(micros(-1).next(), Some(micros(1)));
        let source = ConnectedAtSource::new();
        let wall = Timestamp::from_microsecond(50).unwrap();
        assert_eq!(source.successor_of(last, wall), None);
        assert_eq!(source.next(wall), micros(50));
        let year: ConnectedAt = "9999-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(source.successor_of(year, wall), None, "a process goes on after it");
        let old = micros(year.as_unix_micros() - 1);
        assert_eq!(source.successor_of(old, wall), Some(year));
        assert_eq!(Some(source.next(wall)), year.next());
    }

    #[test]
    fn a_source_keeps_increasing_while_the_clock_runs_backwards() {
        let source = ConnectedAtSource::default();
        let walls = [100, 90, 90, 101, 500, 1];
        let revisions = walls.map(|wall| source.next(micros(wall).to_timestamp()).as_unix_micros());
        assert_eq!(revisions, [100, 101, 102, 103, 500, 501]);
    }

    #[test]
    fn a_successor_is_later_than_the_known_revision_and_than_all_created_before() {
        let source = ConnectedAtSource::new();
        // (known, wall clock) → successor
        let table = [
            ((10, 50), 50), // the clock is ahead of the known revision
            ((90, 50), 91), // the clock of the process that created it is ahead
            ((20, 50), 92), // the source never goes back
            ((92, 92), 93),
            ((i64::MIN / 1_000_000, 200), 200),
        ];
        for ((known, wall), successor) in table {
            let created = source.successor_of(micros(known), micros(wall).to_timestamp());
            assert_eq!(created, Some(micros(successor)), "after {known} at {wall}");
            assert!(micros(known) < micros(successor));
        }
        assert_eq!(source.next(micros(1).to_timestamp()), micros(201));
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
        let before = Timestamp::now().as_microsecond();
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
