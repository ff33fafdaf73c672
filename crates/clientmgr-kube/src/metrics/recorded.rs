//! The feature `metrics`: every series, in the recorder of the thread or the global one.

use std::time::{Duration, Instant};

use ::metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use clientmgr_core::NamespacedName;

use crate::error::ConnectErrorKind;

const CONNECTED: &str = "clientmgr_cluster_connected";
const UNAVAILABLE: &str = "clientmgr_cluster_unavailable";
const EXPIRY: &str = "clientmgr_credentials_expire_seconds";
const CONNECTS: &str = "clientmgr_connects_total";
const CONNECT_SECONDS: &str = "clientmgr_connect_seconds";
const PROBES: &str = "clientmgr_probes_total";
const ROTATIONS: &str = "clientmgr_rotations_total";
const RESETS: &str = "clientmgr_resets_total";
const REVOKED: &str = "clientmgr_revoked_requests_total";

/// Describes every series to the recorder.
pub(crate) fn describe() {
    describe_gauge!(CONNECTED, "1 while readers get the cluster's client");
    describe_gauge!(UNAVAILABLE, "1 while readers get an error in place of the cluster's client");
    describe_gauge!(
        EXPIRY,
        Unit::Seconds,
        "Time until the credentials in use end; infinite where that is no longer known"
    );
    describe_counter!(CONNECTS, "Attempts to connect, by result");
    describe_histogram!(CONNECT_SECONDS, Unit::Seconds, "Time that the phases of attempts to connect took");
    describe_counter!(PROBES, "Probes, by result");
    describe_counter!(ROTATIONS, "Connections exchanged under the handle");
    describe_counter!(RESETS, "Revisions that ended while the cluster stayed in the fleet, by reason");
    describe_counter!(
        REVOKED,
        "Requests and open response bodies that failed because their client was revoked, by reason"
    );
}

/// The state of a cluster. Neither connected nor unavailable: it connects for the first time, or is gone.
pub(crate) fn state(cluster: &NamespacedName, connected: bool, unavailable: bool) {
    let cluster = cluster.to_string();
    gauge!(CONNECTED, "cluster" => cluster.clone()).set(f64::from(u8::from(connected)));
    gauge!(UNAVAILABLE, "cluster" => cluster).set(f64::from(u8::from(unavailable)));
}

/// What is left of credentials that say when they end; none where those of now do not, or are gone.
pub(crate) fn expiry(cluster: &NamespacedName, left: Option<Duration>) {
    // Not zero, which would say that they have ended.
    let left = left.map_or(f64::INFINITY, |left| left.as_secs_f64());
    gauge!(EXPIRY, "cluster" => cluster.to_string()).set(left);
}

/// An attempt ended.
pub(crate) fn attempt(cluster: &NamespacedName, failed: Option<ConnectErrorKind>) {
    counter!(CONNECTS, "cluster" => cluster.to_string(), "result" => result(failed)).increment(1);
}

/// A probe ended.
pub(crate) fn probe(cluster: &NamespacedName, failed: Option<ConnectErrorKind>) {
    counter!(PROBES, "cluster" => cluster.to_string(), "result" => result(failed)).increment(1);
}

fn result(failed: Option<ConnectErrorKind>) -> &'static str {
    failed.map_or("ok", ConnectErrorKind::as_str)
}

/// The connection was exchanged under the handle.
pub(crate) fn rotation(cluster: &NamespacedName) {
    counter!(ROTATIONS, "cluster" => cluster.to_string()).increment(1);
}

/// A revision ended, and the cluster stays.
pub(crate) fn reset(cluster: &NamespacedName, reason: &'static str) {
    counter!(RESETS, "cluster" => cluster.to_string(), "reason" => reason).increment(1);
}

/// A request or an open body failed because its client was revoked.
pub(crate) fn revoked(cluster: &NamespacedName, reason: &'static str) {
    counter!(REVOKED, "cluster" => cluster.to_string(), "reason" => reason).increment(1);
}

/// Awaits a phase of an attempt and records the time it took, also if it is cancelled.
pub(crate) async fn timed<T>(phase: &'static str, work: impl Future<Output = T>) -> T {
    let _timer = Timer { phase, began: Instant::now() };
    work.await
}

struct Timer {
    phase: &'static str,
    began: Instant,
}

impl Drop for Timer {
    fn drop(&mut self) {
        histogram!(CONNECT_SECONDS, "phase" => self.phase).record(self.began.elapsed());
    }
}
