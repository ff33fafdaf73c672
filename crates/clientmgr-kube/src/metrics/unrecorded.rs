//! Without the feature `metrics`: nothing.

use std::time::Duration;

use clientmgr_core::NamespacedName;

use crate::error::ConnectErrorKind;

pub(crate) fn describe() {}

pub(crate) fn state(_: &NamespacedName, _connected: bool, _unavailable: bool) {}

pub(crate) fn expiry(_: &NamespacedName, _left: Option<Duration>) {}

pub(crate) fn attempt(_: &NamespacedName, _failed: Option<ConnectErrorKind>) {}

pub(crate) fn probe(_: &NamespacedName, _failed: Option<ConnectErrorKind>) {}

pub(crate) fn rotation(_: &NamespacedName) {}

pub(crate) fn reset(_: &NamespacedName, _reason: &'static str) {}

pub(crate) fn revoked(_: &NamespacedName, _reason: &'static str) {}

pub(crate) fn timed<F: Future>(_phase: &'static str, work: F) -> F {
    work
}
