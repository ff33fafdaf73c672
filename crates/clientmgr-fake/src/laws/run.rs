//! Runs a law with a deadline.

use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// The deadline of a law where a test names no other.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Runs `test`, which tests `law`, on a thread of its own. Panics when `test` does, and when it takes longer than
/// `deadline`: then the thread is abandoned.
///
/// # Panics
///
/// With the panic of `test`, or with the name of the law that missed its deadline.
pub fn run(law: &str, rule: &str, deadline: Duration, test: impl FnOnce() + Send + 'static) {
    // The sender is dropped when the test ends, also by a panic.
    let (running, ended) = channel::<()>();
    let thread = thread::Builder::new().name(format!("{law} ({rule})")).spawn(move || {
        let _running = running;
        test();
    });
    let thread = thread.expect("a test can start a thread");
    assert_ne!(
        ended.recv_timeout(deadline),
        Err(RecvTimeoutError::Timeout),
        "law {law} ({rule}) did not complete within {deadline:?}: it waits for something that never happens"
    );
    if let Err(panic) = thread.join() {
        resume_unwind(panic);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DEADLINE, run};

    #[test]
    fn a_law_that_completes_passes() {
        run("a_law", "S1", DEADLINE, || ());
    }

    #[test]
    #[should_panic(expected = "what was seen")]
    fn a_broken_law_panics_with_what_was_seen() {
        run("a_law", "S1", DEADLINE, || panic!("what was seen"));
    }

    #[test]
    #[should_panic(expected = "law a_law (S1) did not complete within 1ms")]
    fn a_law_that_hangs_panics_at_the_deadline() {
        run("a_law", "S1", Duration::from_millis(1), || futures::executor::block_on(std::future::pending()));
    }
}
