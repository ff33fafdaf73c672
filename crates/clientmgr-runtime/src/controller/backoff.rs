//! How long to wait after failed requests to the hub.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Returns how long to wait after so many failures in a row.
pub(super) fn backoff(failures: u32) -> Duration {
    FIRST.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::backoff;

    #[test]
    fn the_wait_doubles_up_to_a_minute() {
        let seconds: Vec<_> = [0, 1, 2, 3, 6, 7, 100].map(|failures| backoff(failures).as_secs()).into();
        assert_eq!(seconds, [1, 1, 2, 4, 32, 60, 60]);
    }
}
