//! One cluster of a fleet: a pure [machine] that decides, and a [task] that does what it says.

mod active;
mod backoff;
#[cfg(test)]
mod check_tests;
#[cfg(test)]
mod doubt_tests;
pub(super) mod event;
#[cfg(test)]
mod exploration;
#[cfg(test)]
mod exploration_tests;
mod fault;
pub(super) mod gate;
#[cfg(test)]
mod incarnation_tests;
pub(super) mod machine;
#[cfg(test)]
mod machine_tests;
pub(super) mod mailbox;
#[cfg(test)]
mod model_identity;
pub(super) mod observe;
pub(super) mod published;
#[cfg(test)]
mod renewal_tests;
#[cfg(test)]
mod request_tests;
mod requests;
pub(super) mod restarts;
pub(super) mod task;
mod watched_files;
