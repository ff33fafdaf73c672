//! kube-rs works: what controllers are built of, as they are built.

mod apis;
mod controllers;
mod watchers;
mod widget;

use crate::test::Test;

/// All of them.
pub(crate) fn tests() -> Vec<Test> {
    [apis::tests(), controllers::tests(), watchers::tests()].into_iter().flatten().collect()
}
