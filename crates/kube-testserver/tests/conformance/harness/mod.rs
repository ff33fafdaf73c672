//! The harness for real binaries, tested without them: what it would start, and what it does when that goes wrong.

mod plans;
#[cfg(unix)]
mod processes;

use crate::test::Test;

/// All of them.
pub(crate) fn tests() -> Vec<Test> {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "the programs that go wrong are shell scripts"))]
    let mut tests = plans::tests();
    #[cfg(unix)]
    tests.extend(processes::tests());
    tests
}
