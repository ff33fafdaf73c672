//! The decision about one `Cluster`: what the fleet should do, and what the status should say. Pure.

use clientmgr_kube::{ClusterConfig, ConnectErrorKind, ConnectedAt, ConnectionState, Incarnation, Naming};
use jiff::Timestamp;

use super::conditions::{self, OutageText};
use super::connection::Desired;
use super::observed::Observed;
use crate::cluster::{Cluster, ClusterStatus};

/// What the decision depends on.
pub(super) struct Input<'a> {
    pub(super) cluster: &'a Cluster,
    /// What the spec asks for.
    pub(super) desired: &'a Desired,
    /// The configuration that this process gave the fleet last, without an incarnation.
    pub(super) applied: Option<&'a ClusterConfig>,
    /// What the fleet says; none where it does not have the cluster.
    pub(super) observed: Option<&'a Observed>,
    /// The revision of the last reset that this process made.
    pub(super) reset_to: Option<ConnectedAt>,
    /// The latest revision that a status named, as this process has seen it.
    pub(super) latest_named: Option<ConnectedAt>,
    /// The status that was sent last and changed nothing.
    pub(super) without_effect: Option<&'a ClusterStatus>,
    pub(super) outage_text: OutageText,
    /// Whether this process writes the status, and so may name incarnations.
    pub(super) role: Role,
    pub(super) now: Timestamp,
}

/// What this process does for the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Writes it.
    Writer,
    /// Follows it, and serves only the incarnation that it names.
    Reader,
}

/// What the fleet should do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum FleetStep {
    /// Nothing.
    Keep,
    /// Have the cluster with this configuration. An equal one changes nothing. With `reset`, give it another revision then.
    Connect { base: ClusterConfig, config: ClusterConfig, reset: bool },
    /// Not have the cluster.
    Disconnect,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decision {
    pub(super) fleet: FleetStep,
    /// The status to write, where it differs and this process writes it.
    pub(super) status: Option<ClusterStatus>,
}

pub(super) fn decide(input: &Input<'_>) -> Decision {
    Decision { fleet: fleet_step(input), status: status(input) }
}

fn fleet_step(input: &Input<'_>) -> FleetStep {
    let spec = &input.cluster.spec;
    let status = input.cluster.status.as_ref();
    let base = match (input.desired, input.applied) {
        // What it names is not adopted, and nothing is named after it. The connection in use stays.
        (desired, _) if desired.refused_revision().is_some() => return FleetStep::Keep,
        // Paused: what is there stays as it is.
        (_, Some(applied)) if spec.paused => applied,
        (Desired::Docker(_), _) => return FleetStep::Disconnect,
        (Desired::Connect(config), _) => config,
        (Desired::Pending(_) | Desired::Broken(_), Some(applied)) => applied,
        (Desired::Pending(_) | Desired::Broken(_), None) => return FleetStep::Keep,
    };
    let named = status.and_then(|status| status.connected_at);
    let serves = input.observed.and_then(|observed| observed.connected_at);
    let may_name = input.role == Role::Writer && !spec.paused;
    if input.role == Role::Reader && serves > named.max(input.latest_named) {
        // This process named it, and was then no longer the one to do so. It joins again under what the status names. A
        // status that went back is no reason: its writer corrects it.
        return FleetStep::Disconnect;
    }
    let naming = if may_name { Naming::Mint } else { Naming::AdoptOnly };
    let config = base.clone().with_naming(naming);
    let config = match status.and_then(known) {
        Some(incarnation) => config.with_incarnation(incarnation),
        None => config,
    };
    let reset = may_name && needs_reset(input, named, serves);
    FleetStep::Connect { base: base.clone(), config, reset }
}

/// The incarnation that the status names. A revision without an identity is one of a cluster that never answers: what
/// answers gets a later one.
fn known(status: &ClusterStatus) -> Option<Incarnation> {
    let unknown = || Some(Incarnation { identity: "unknown".parse().ok()?, revision: status.connected_at? });
    status.incarnation().or_else(unknown)
}

/// Whether the incarnation that is served needs a later revision: `spec.epoch` was raised, or the status names a later one of
/// another cluster, which is not the one that answers.
fn needs_reset(input: &Input<'_>, named: Option<ConnectedAt>, serves: Option<ConnectedAt>) -> bool {
    let status = input.cluster.status.as_ref();
    let observed_epoch = status.and_then(|status| status.observed_epoch);
    let is_raised = observed_epoch.is_some_and(|observed| input.cluster.spec.epoch > observed) && serves == named;
    let identity = status.and_then(|status| status.identity.as_ref());
    let is_other = input.observed.is_some_and(|observed| {
        observed.state == ConnectionState::Connected && !observed.is_pending && observed.identity.as_ref() != identity
    });
    let is_misnamed = serves.is_some() && serves < named && is_other;
    named.is_some() && (is_raised || is_misnamed) && input.reset_to <= named
}

/// The status to write, if this process writes one and it differs.
fn status(input: &Input<'_>) -> Option<ClusterStatus> {
    let before = input.cluster.status.as_ref();
    let named = before.and_then(|status| status.connected_at);
    let serves = input.observed.and_then(|observed| observed.connected_at);
    // A revision that was named before the pause is still written: nothing could be served under it otherwise.
    let is_paused = input.cluster.spec.paused && serves <= named;
    if input.role != Role::Writer || is_paused || matches!(input.desired, Desired::Pending(_)) {
        return None;
    }
    if input.desired.refused_revision().is_none()
        && (needs_reset(input, named, serves) || (serves.is_some() && serves < named))
    {
        // The fleet is about to serve another revision.
        return None;
    }
    let is_unnamed = |observed: &Observed| observed.failed_with(ConnectErrorKind::UnknownIncarnation);
    if input.observed.is_some_and(is_unnamed) {
        // This process has just become the writer: the fleet is about to name what answers.
        return None;
    }
    let is_connecting = input.observed.is_none_or(|observed| observed.state == ConnectionState::Connecting);
    if is_connecting && matches!(input.desired, Desired::Connect(_)) {
        // The outcome says more, and follows soon.
        return None;
    }
    let status = conditions::status(input.cluster, input.desired, input.observed, input.outage_text, input.now);
    (conditions::differs(before, &status) && input.without_effect != Some(&status)).then_some(status)
}
