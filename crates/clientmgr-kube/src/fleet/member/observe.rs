//! The spans of a member, and the events and counters of its attempts and probes. Those of its transitions are with
//! [`Transition`](crate::fleet::transition::Transition).

use clientmgr_core::NamespacedName;
use tracing::instrument::{Instrument, Instrumented};
use tracing::{Span, debug, debug_span, error_span};

use crate::error::Failure;
use crate::metrics;

/// The span of a member's task. Of the highest level, so that each event says its cluster whatever the filter.
pub(crate) fn member(cluster: &NamespacedName) -> Span {
    error_span!("member", %cluster)
}

/// `opening`, in the span of its attempt.
pub(super) fn attempt<F: Future>(attempt: u64, opening: F) -> Instrumented<F> {
    opening.instrument(debug_span!("attempt", attempt))
}

/// `probing`, in the span of its probe.
pub(super) fn probe<F: Future>(probe: u64, fresh: bool, probing: F) -> Instrumented<F> {
    probing.instrument(debug_span!("probe", probe, fresh))
}

pub(super) fn attempted<T>(cluster: &NamespacedName, attempt: u64, result: &Result<T, Failure>) {
    metrics::attempt(cluster, result.as_ref().err().map(Failure::kind));
    match result {
        Ok(_) => debug!(attempt, "the attempt succeeded"),
        Err(failure) => debug!(attempt, kind = %failure.kind(), error = %failure, "the attempt failed"),
    }
}

pub(super) fn probed<T>(cluster: &NamespacedName, probe: u64, result: &Result<T, Failure>) {
    metrics::probe(cluster, result.as_ref().err().map(Failure::kind));
    match result {
        Ok(_) => debug!(probe, "the probe succeeded"),
        Err(failure) => debug!(probe, kind = %failure.kind(), error = %failure, "the probe failed"),
    }
}
