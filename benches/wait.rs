//! Waiting for what nothing announces.

#![expect(unreachable_pub, reason = "a module of a bench, which has no public interface")]

use std::time::Duration;

/// Waits until `holds`; false where it does not within the deadline.
pub async fn comes_true(deadline: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(deadline, waiting).await.is_ok()
}
