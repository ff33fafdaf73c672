//! [`Record`]: what the machine reads and writes of a `Lease`, and its form on the wire.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;

/// What a lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Empty where the last holder released it.
    pub(super) holder: String,
    pub(super) duration: Duration,
    pub(super) transitions: i32,
    /// Counts the writes of this machine, so that each of them is a change.
    pub(super) acquired: bool,
}

/// A record as it was read or written, with the resource version that a change must name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Versioned {
    pub(super) record: Record,
    pub(super) version: String,
}

impl Versioned {
    pub(super) fn read(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let record = Record {
            holder: spec.holder_identity.unwrap_or_default(),
            duration: Duration::from_secs(seconds.unwrap_or_default()),
            transitions: spec.lease_transitions.unwrap_or_default(),
            acquired: false,
        };
        Self { record, version: lease.metadata.resource_version.clone().unwrap_or_default() }
    }
}

impl Record {
    /// The lease that says this. `current` is the one that it replaces; the fields that are not of concern here stay.
    pub(super) fn to_lease(&self, name: &str, version: Option<&str>, current: Option<&Lease>, now: Timestamp) -> Lease {
        let before = current.cloned().unwrap_or_default();
        let spec = before.spec.unwrap_or_default();
        // The API asks for whole seconds, at least one. Longer is safe: the others wait longer.
        let seconds = self.duration.as_millis().div_ceil(1000).max(1);
        let now = MicroTime(now);
        Lease {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                resource_version: version.map(str::to_owned),
                ..before.metadata
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.holder.clone()),
                lease_duration_seconds: Some(i32::try_from(seconds).unwrap_or(i32::MAX)),
                lease_transitions: Some(self.transitions),
                acquire_time: if self.acquired { Some(now.clone()) } else { spec.acquire_time },
                renew_time: Some(now),
                ..spec
            }),
        }
    }
}
