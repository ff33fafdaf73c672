//! What a fleet measures, through the facade crate `metrics`. With the feature `metrics` off every function is empty.
//!
//! Labels have few values: a cluster's key, a phase, a kind or a reason. None is of a request or of an error's text. What
//! must not live here: when something is measured.

#[cfg(feature = "metrics")]
mod recorded;
#[cfg(not(feature = "metrics"))]
mod unrecorded;

#[cfg(feature = "metrics")]
pub(crate) use self::recorded::{attempt, describe, expiry, probe, reset, revoked, rotation, state, timed};
#[cfg(not(feature = "metrics"))]
pub(crate) use self::unrecorded::{attempt, describe, expiry, probe, reset, revoked, rotation, state, timed};
