//! [`Known`]: what each file held when it was last read. Pure: readings and their times are inputs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::source::error::SourceError;

/// How long a file that is missing, or a directory without files, keeps its last valid content: a file system may be
/// mounted again.
pub(super) const GRACE: Duration = Duration::from_secs(60);

/// What each file held when it was last read.
pub(crate) struct Known<P>(BTreeMap<PathBuf, File<P>>);

struct File<P> {
    content: P,
    missing_since: Option<Instant>,
}

/// What counts for a file.
pub(crate) struct Part<P> {
    pub(crate) content: P,
    /// Why it is what the file held before.
    pub(crate) doubt: Option<Doubt>,
}

/// Why a file keeps its last valid content, or has none.
pub(crate) enum Doubt {
    /// It is missing.
    Missing { path: PathBuf, since: Instant },
    /// It cannot be used.
    Broken(SourceError),
}

impl<P> Default for Known<P> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<P: Clone> Known<P> {
    /// Takes what a reading of `path` at `now` gave: nothing where it is missing. Returns what counts for it: this, or what it
    /// held before, for as long as it cannot be used and for [`GRACE`] after it went missing.
    ///
    /// # Errors
    ///
    /// It cannot be used, and it never could.
    pub(crate) fn take(
        &mut self,
        path: &Path,
        read: Result<Option<P>, SourceError>,
        now: Instant,
    ) -> Result<Option<Part<P>>, SourceError> {
        let known = self.0.get_mut(path);
        match (read, known) {
            (Ok(Some(content)), _) => {
                self.0.insert(path.to_owned(), File { content: content.clone(), missing_since: None });
                Ok(Some(Part { content, doubt: None }))
            }
            (Ok(None), None) => Ok(None),
            (Ok(None), Some(file)) => {
                let since = *file.missing_since.get_or_insert(now);
                if now.saturating_duration_since(since) >= GRACE {
                    self.0.remove(path);
                    return Ok(None);
                }
                let doubt = Doubt::Missing { path: path.to_owned(), since };
                Ok(Some(Part { content: file.content.clone(), doubt: Some(doubt) }))
            }
            (Err(error), None) => Err(error),
            (Err(error), Some(file)) => {
                file.missing_since = None;
                Ok(Some(Part { content: file.content.clone(), doubt: Some(Doubt::Broken(error)) }))
            }
        }
    }

    /// Nothing could be seen for a time: the grace time of what is missing begins anew.
    pub(super) fn restart(&mut self) {
        for file in self.0.values_mut() {
            file.missing_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Doubt, GRACE, Known, Part, SourceError};

    /// What counts for a file, in short.
    fn short(part: &Result<Option<Part<&'static str>>, SourceError>) -> String {
        match part {
            Ok(Some(Part { content, doubt: None })) => (*content).to_owned(),
            Ok(Some(Part { content, doubt: Some(Doubt::Missing { .. }) })) => format!("{content}, missing"),
            Ok(Some(Part { content, doubt: Some(Doubt::Broken(_)) })) => format!("{content}, broken"),
            Ok(None) => "nothing".to_owned(),
            Err(_) => "error".to_owned(),
        }
    }

    #[test]
    fn a_file_counts_as_it_was_last_read_while_it_is_broken_and_for_a_grace_time_while_it_is_missing() {
        let (began, path) = (Instant::now(), Path::new("b"));
        let broken = || Err(SourceError::EmptyFile { path: path.to_owned() });
        let almost = GRACE.saturating_sub(Duration::from_millis(1));
        // (time since the last step, what is read, what counts)
        let steps = [
            (Duration::ZERO, broken(), "error"),
            (Duration::ZERO, Ok(None), "nothing"),
            (Duration::ZERO, Ok(Some("one")), "one"),
            (Duration::ZERO, broken(), "one, broken"),
            (GRACE * 10, broken(), "one, broken"),
            (Duration::ZERO, Ok(None), "one, missing"),
            (almost, Ok(None), "one, missing"),
            (Duration::ZERO, Ok(Some("two")), "two"),
            (almost, Ok(None), "two, missing"),
            (almost, broken(), "two, broken"),
            (almost, Ok(None), "two, missing"),
            (GRACE, Ok(None), "nothing"),
            (Duration::ZERO, broken(), "error"),
        ];
        let (mut known, mut now) = (Known::default(), began);
        for (step, (passed, read, expected)) in steps.into_iter().enumerate() {
            now += passed;
            assert_eq!(short(&known.take(path, read, now)), expected, "step {step}");
        }
    }

    #[test]
    fn the_grace_time_begins_anew_after_a_time_in_which_nothing_could_be_seen() {
        let (mut known, now, path) = (Known::default(), Instant::now(), Path::new("b"));
        known.take(path, Ok(Some("one")), now).unwrap();
        known.take(path, Ok(None), now).unwrap();
        known.restart();
        assert_eq!(short(&known.take(path, Ok(None), now + GRACE * 2)), "one, missing");
        assert_eq!(short(&known.take(path, Ok(None), now + GRACE * 3)), "nothing");
    }
}
