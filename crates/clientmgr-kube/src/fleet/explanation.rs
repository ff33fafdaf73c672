//! [`Explanation`]: the last transitions of a cluster, with their times, as an operator reads them.

use std::collections::VecDeque;
use std::fmt;

use jiff::Timestamp;

use super::transition::Transition;

/// How many transitions of a cluster are kept.
const KEPT: usize = 32;

/// A [`Transition`] and when it happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TimedTransition {
    /// When it happened, by the fleet's wall clock.
    pub at: Timestamp,
    /// What happened.
    pub transition: Transition,
}

/// The last 32 transitions of a cluster of a [`Fleet`](crate::Fleet), the latest last. Its text has one line for each.
///
/// # Examples
///
/// ```
/// use clientmgr_kube::{ClusterConfig, ConnectErrorKind, Fleet, Transition, kube::config::Kubeconfig};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let fleet = Fleet::new();
/// fleet.upsert("east", ClusterConfig::from_kubeconfig(&Kubeconfig::default(), "east"));
/// fleet.wait_connected("east").await.unwrap_err();
///
/// let explanation = fleet.explain("east").unwrap();
/// // 2026-11-22T12:00:00.000Z unavailable (InvalidConfig): cluster east: the kubeconfig has no context "east"
/// println!("{explanation}");
///
/// let last = explanation.transitions().last().unwrap();
/// let Transition::Unavailable { error } = &last.transition else { panic!("{explanation}") };
/// assert_eq!(error.kind(), ConnectErrorKind::InvalidConfig);
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    transitions: VecDeque<TimedTransition>,
}

impl Explanation {
    /// Returns the transitions, the latest last.
    pub fn transitions(&self) -> impl DoubleEndedIterator<Item = &TimedTransition> + ExactSizeIterator {
        self.transitions.iter()
    }

    /// Adds the latest one. The oldest one goes where there is no room.
    pub(super) fn add(&mut self, at: Timestamp, transition: Transition) {
        if self.transitions.len() == KEPT {
            self.transitions.pop_front();
        }
        self.transitions.push_back(TimedTransition { at, transition });
    }
}

/// One line: the time by RFC 3339, and what happened.
impl fmt::Display for TimedTransition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ", self.at)?;
        // An error may quote a file or a plugin: what it quotes must not look like another line.
        for character in self.transition.to_string().chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_debug())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, transition) in self.transitions.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}{transition}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Explanation, KEPT};
    use crate::error::{ConnectError, Failure};
    use crate::fleet::transition::Transition;

    fn at(second: usize) -> Timestamp {
        Timestamp::from_second(i64::try_from(second).unwrap()).unwrap()
    }

    #[test]
    fn the_last_ones_are_kept_and_the_latest_is_last() {
        let mut explanation = Explanation::default();
        for second in 0..KEPT + 3 {
            explanation.add(at(second), Transition::Rotated);
        }
        let times: Vec<_> = explanation.transitions().map(|timed| timed.at).collect();
        assert_eq!(times, (3..KEPT + 3).map(at).collect::<Vec<_>>());
    }

    #[test]
    fn each_transition_is_a_line_with_its_time() {
        let mut explanation = Explanation::default();
        assert_eq!(explanation.to_string(), "");
        let found = "a\nb".to_owned();
        let error = ConnectError::without_cluster(Failure::UnknownIncarnation { found });
        explanation.add(at(0), Transition::Unavailable { error });
        explanation.add(at(61), Transition::Rotated);
        let expected = [
            "1970-01-01T00:00:00.000Z unavailable (UnknownIncarnation): the status does not name this incarnation of the \
             cluster yet: a\\nb answers",
            "1970-01-01T00:01:01.000Z rotated",
        ];
        assert_eq!(explanation.to_string().lines().collect::<Vec<_>>(), expected);
    }
}
