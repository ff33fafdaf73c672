//! The status that follows from what is desired and observed. Pure.

use clientmgr_kube::ConnectionState;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::connection::Desired;
use super::observed::{About, Failure, Observed};
use crate::cluster::{Cluster, ClusterStatus, ConditionType, find_condition};

/// What an older configuration does while a newer one cannot be used.
const STAYS: &str = "; the connection of before stays in use";

/// The value of a condition.
struct Value {
    status: &'static str,
    reason: String,
    message: String,
}

impl Value {
    fn new(status: &'static str, reason: &str, message: &str) -> Self {
        Self { status, reason: reason.to_owned(), message: message.to_owned() }
    }

    fn failed(failure: &Failure) -> Self {
        Self::new("False", &failure.reason, &failure.message)
    }
}

/// Whether an outage has a text that is to stay, though the next attempt fails in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutageText {
    /// It was written a short time ago.
    Fresh,
    /// A failure of another kind replaces it.
    Old,
}

/// Returns the status of `cluster` at `now`.
pub(super) fn status(
    cluster: &Cluster,
    desired: &Desired,
    observed: Option<&Observed>,
    text: OutageText,
    now: Timestamp,
) -> ClusterStatus {
    let before = cluster.status.clone().unwrap_or_default();
    let connected = observed.is_some_and(|observed| observed.state == ConnectionState::Connected);
    let failure = failure(desired, observed).map(|failure| match outage_before(&before) {
        Some(known) if !connected && failure.about == About::Server && text == OutageText::Fresh => known,
        _ => failure,
    });
    let (is, ready, credentials) = if let Desired::Docker(_) = desired {
        let unknown = || Value::new("Unknown", "Incompatible", "a docker cluster has no Kubernetes client");
        (unknown(), unknown(), unknown())
    } else {
        let is = connected_value(connected, failure.as_ref(), observed);
        let ready = ready_value(connected, failure.as_ref());
        (is, ready, credentials_value(connected, failure.as_ref(), &before))
    };
    // What the newest spec asks for is still being tried: this is about the spec of before.
    let is_pending = observed.is_some_and(|observed| observed.is_pending) && matches!(desired, Desired::Connect(_));
    let generation = if is_pending { before.observed_generation } else { cluster.metadata.generation };
    let observed_revision = observed.and_then(|observed| observed.connected_at);
    let connected_at = before.connected_at.max(observed_revision);
    let is_new = connected_at != before.connected_at;
    let now_observed = observed.filter(|observed| observed.connected_at == connected_at);
    let is_stable = |failure: &Failure| failure.about == About::Server;
    // The text of an outage may differ from one attempt to the next: the first one stays.
    let keep_text = failure.as_ref().is_some_and(is_stable);
    let error = match find_condition(&before.conditions, ConditionType::Ready) {
        Some(ready)
            if keep_text && before.error.is_some() && Some(&ready.reason) == failure.as_ref().map(|it| &it.reason) =>
        {
            before.error.clone()
        }
        _ => failure.as_ref().map(|failure| failure.message.clone()),
    };
    let expiry = observed.filter(|_| connected).map(|observed| observed.credentials_expire_at.map(Time));
    ClusterStatus {
        connected_at,
        identity: now_observed.and_then(|observed| observed.identity.clone()).or(before.identity),
        observed_epoch: match before.observed_epoch {
            Some(epoch) if !is_new => Some(epoch),
            _ => connected_at.map(|_| cluster.spec.epoch),
        },
        error,
        version: observed.and_then(|observed| observed.version.clone()).or(before.version),
        credentials_expire_at: expiry.unwrap_or(before.credentials_expire_at),
        observed_generation: generation,
        conditions: [
            (ConditionType::Connected, is),
            (ConditionType::Ready, ready),
            (ConditionType::CredentialsValid, credentials),
        ]
        .into_iter()
        .map(|(type_, value)| condition(type_, value, &before.conditions, generation, keep_text, now))
        .collect(),
    }
}

/// Returns the outage that a status is about, if it is about one.
fn outage_before(before: &ClusterStatus) -> Option<Failure> {
    let is_false = |type_| find_condition(&before.conditions, type_).is_some_and(|it| it.status == "False");
    if !is_false(ConditionType::Connected) || is_false(ConditionType::CredentialsValid) {
        return None;
    }
    let ready = find_condition(&before.conditions, ConditionType::Ready).filter(|ready| ready.status == "False")?;
    Some(Failure { reason: ready.reason.clone(), message: ready.message.clone(), about: About::Server })
}

/// Returns whether `after` says something else than `before`, as far as this controller writes it: others may add conditions
/// of their own.
pub(super) fn differs(before: Option<&ClusterStatus>, after: &ClusterStatus) -> bool {
    let Some(before) = before else { return true };
    let own = |status: &ClusterStatus| {
        let conditions = ConditionType::ALL.map(|type_| find_condition(&status.conditions, type_).cloned());
        (conditions, ClusterStatus { conditions: Vec::new(), ..status.clone() })
    };
    own(before) != own(after)
}

/// What is wrong, if anything is: first what this controller knows of the spec, then what the fleet says.
fn failure(desired: &Desired, observed: Option<&Observed>) -> Option<Failure> {
    match desired {
        Desired::Broken(problem) => {
            let about = if problem.refused_revision().is_some() { About::Status } else { About::Credentials };
            Some(Failure { reason: problem.reason(), message: problem.to_string(), about })
        }
        Desired::Docker(_) => None,
        Desired::Connect(_) | Desired::Pending(_) => observed.and_then(|observed| observed.failure.clone()),
    }
}

fn connecting() -> Value {
    Value::new("Unknown", "Connecting", "the first connection is being made")
}

fn connected_value(connected: bool, failure: Option<&Failure>, observed: Option<&Observed>) -> Value {
    if connected {
        return Value::new("True", "Connected", "the cluster answers");
    }
    // What the fleet says of the server, before what is wrong with the newest configuration.
    let of_fleet = observed.and_then(|observed| observed.failure.as_ref());
    let of_fleet = of_fleet.filter(|_| failure.is_none_or(|failure| failure.about != About::Server));
    of_fleet.or(failure).map_or_else(connecting, Value::failed)
}

fn ready_value(connected: bool, failure: Option<&Failure>) -> Value {
    match (connected, failure) {
        (true, None) => Value::new("True", "Ready", "the cluster is connected as the spec says"),
        (true, Some(failure)) => Value { message: format!("{}{STAYS}", failure.message), ..Value::failed(failure) },
        (false, Some(failure)) => Value::failed(failure),
        (false, None) => connecting(),
    }
}

fn credentials_value(connected: bool, failure: Option<&Failure>, before: &ClusterStatus) -> Value {
    match failure {
        Some(failure) if failure.about == About::Credentials => Value::failed(failure),
        _ if connected => Value::new("True", "Accepted", "the cluster takes the credentials"),
        // An outage says nothing of the credentials.
        failure => match find_condition(&before.conditions, ConditionType::CredentialsValid) {
            Some(valid) if valid.status == "True" => Value::new("True", &valid.reason, &valid.message),
            _ => failure.map_or_else(connecting, |failure| Value { status: "Unknown", ..Value::failed(failure) }),
        },
    }
}

fn condition(
    type_: ConditionType,
    value: Value,
    before: &[Condition],
    generation: Option<i64>,
    keep_text: bool,
    now: Timestamp,
) -> Condition {
    let before = find_condition(before, type_);
    let same_status = before.filter(|before| before.status == value.status);
    let same_reason = same_status.filter(|before| keep_text && before.reason == value.reason);
    Condition {
        last_transition_time: same_status.map_or(Time(now), |before| before.last_transition_time.clone()),
        message: same_reason.map_or(value.message, |before| before.message.clone()),
        observed_generation: generation,
        reason: value.reason,
        status: value.status.to_owned(),
        type_: type_.as_str().to_owned(),
    }
}
