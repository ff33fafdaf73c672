//! The status and the Events that follow from what is desired and observed.

use std::sync::Arc;

use clientmgr_kube::{ClusterConfig, ConnectedAt, ConnectionState};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::config::Kubeconfig;
use kube::runtime::events::EventType;
use serde_json::json;

use super::conditions::{OutageText, differs, status};
use super::connection::Desired;
use super::observed::{About, Failure, Observed};
use super::problem::ConfigProblem;
use super::transitions::transitions;
use crate::cluster::{Cluster, ClusterStatus};

const EARLY: Timestamp = Timestamp::UNIX_EPOCH;

fn late() -> Timestamp {
    EARLY + jiff::SignedDuration::from_hours(1)
}

fn connect() -> Desired {
    Desired::Connect(ClusterConfig::from_kubeconfig(&Kubeconfig::default(), "east"))
}

fn broken() -> Desired {
    Desired::Broken(Arc::new(ConfigProblem::SecretNotFound { secret: "east".into() }))
}

fn cluster(status: Option<ClusterStatus>) -> Cluster {
    let json = json!({
        "apiVersion": "clientmgr.dev/v1alpha1", "kind": "Cluster",
        "metadata": { "namespace": "fleet", "name": "east", "generation": 2 },
        "spec": { "connection": { "inCluster": {} }, "epoch": 4 },
    });
    Cluster { status, ..serde_json::from_value(json).unwrap() }
}

fn connected(revision: i64, identity: &str) -> Observed {
    Observed {
        state: ConnectionState::Connected,
        connected_at: ConnectedAt::from_unix_micros(revision),
        identity: Some(identity.into()),
        version: Some("v1.36.0".into()),
        credentials_expire_at: Some(late()),
        is_pending: false,
        failure: None,
    }
}

fn failed(observed: Observed, reason: &str, message: &str, about: About) -> Observed {
    Observed { failure: Some(Failure { reason: reason.into(), message: message.into(), about }), ..observed }
}

fn down(message: &str) -> Observed {
    let observed = Observed { state: ConnectionState::Unavailable, ..connected(1, "a") };
    failed(observed, "Unreachable", message, About::Server)
}

/// The statuses of a Cluster that goes through these observations.
fn history(steps: &[(Desired, Option<Observed>)]) -> Vec<ClusterStatus> {
    history_with(OutageText::Old, steps)
}

fn history_with(text: OutageText, steps: &[(Desired, Option<Observed>)]) -> Vec<ClusterStatus> {
    let mut all: Vec<ClusterStatus> = Vec::new();
    for (index, (desired, observed)) in steps.iter().enumerate() {
        let now = if index == 0 { EARLY } else { late() };
        all.push(status(&cluster(all.last().cloned()), desired, observed.as_ref(), text, now));
    }
    all
}

fn conditions(status: &ClusterStatus) -> Vec<String> {
    status.conditions.iter().map(|it| format!("{}={}/{}", it.type_, it.status, it.reason)).collect()
}

fn events(before: Option<&ClusterStatus>, after: &ClusterStatus) -> Vec<(EventType, String)> {
    transitions(before, after).into_iter().map(|event| (event.type_, event.reason)).collect()
}

#[test]
fn the_first_connection_fills_the_status() {
    let statuses = history(&[(connect(), Some(connected(1, "a")))]);
    let status = &statuses[0];
    assert_eq!(conditions(status), ["Connected=True/Connected", "Ready=True/Ready", "CredentialsValid=True/Accepted"]);
    assert_eq!((status.observed_epoch, status.observed_generation), (Some(4), Some(2)));
    assert_eq!(status.credentials_expire_at, Some(Time(late())));
    assert_eq!(events(None, status), [(EventType::Normal, "Connected".into())]);
}

#[test]
fn an_outage_keeps_revision_identity_version_and_what_is_known_of_the_credentials() {
    let statuses = history(&[(connect(), Some(connected(1, "a"))), (connect(), Some(down("refused")))]);
    let (before, after) = (&statuses[0], &statuses[1]);
    let not = "False/Unreachable";
    assert_eq!(
        conditions(after),
        [format!("Connected={not}"), format!("Ready={not}"), "CredentialsValid=True/Accepted".to_owned()]
    );
    assert_eq!((after.connected_at, &after.identity), (before.connected_at, &before.identity));
    assert_eq!((&after.version, &after.credentials_expire_at), (&before.version, &before.credentials_expire_at));
    assert_eq!(after.error.as_deref(), Some("refused"));
    assert_eq!(after.conditions[0].last_transition_time, Time(late()));
    assert_eq!(after.conditions[2].last_transition_time, Time(EARLY));
    assert_eq!(events(Some(before), after), [(EventType::Warning, "Unreachable".into())]);
}

#[test]
fn an_outage_in_other_words_is_no_change() {
    let statuses = history(&[
        (connect(), Some(connected(1, "a"))),
        (connect(), Some(down("refused"))),
        (connect(), Some(down("refused by port 4711"))),
    ]);
    assert_eq!(statuses[1], statuses[2]);
}

#[test]
fn an_outage_that_fails_in_other_ways_keeps_its_first_text_for_a_while() {
    let timeout = || {
        failed(Observed { state: ConnectionState::Unavailable, ..connected(1, "a") }, "Timeout", "slow", About::Server)
    };
    let steps =
        [(connect(), Some(connected(1, "a"))), (connect(), Some(down("refused"))), (connect(), Some(timeout()))];
    let fresh = history_with(OutageText::Fresh, &steps);
    assert!(!differs(Some(&fresh[1]), &fresh[2]), "{:?}", fresh[2]);
    let old = history_with(OutageText::Old, &steps);
    assert_eq!(conditions(&old[2])[..2], ["Connected=False/Timeout", "Ready=False/Timeout"]);
    assert_eq!(old[2].error.as_deref(), Some("slow"));
    // What is wrong with the credentials shows at once, and so does a recovery.
    let unauthorized = failed(timeout(), "Unauthorized", "401", About::Credentials);
    let mut steps = steps.to_vec();
    steps.extend([(connect(), Some(unauthorized)), (connect(), Some(connected(1, "a")))]);
    let fresh = history_with(OutageText::Fresh, &steps);
    assert_eq!(conditions(&fresh[3])[2], "CredentialsValid=False/Unauthorized");
    assert_eq!(conditions(&fresh[4])[1], "Ready=True/Ready");
}

#[test]
fn while_a_changed_spec_is_being_tried_the_status_is_about_the_one_of_before() {
    let before =
        ClusterStatus { observed_generation: Some(1), ..history(&[(connect(), Some(connected(1, "a")))])[0].clone() };
    let before = ClusterStatus {
        conditions: before
            .conditions
            .iter()
            .cloned()
            .map(|it| Condition { observed_generation: Some(1), ..it })
            .collect(),
        ..before
    };
    let pending = Observed { is_pending: true, ..connected(1, "a") };
    let of = |observed: &Observed| {
        status(&cluster(Some(before.clone())), &connect(), Some(observed), OutageText::Old, late())
    };
    assert_eq!(of(&pending), before, "nothing is written");
    let outage = of(&Observed { is_pending: true, ..down("refused") });
    assert_eq!((outage.observed_generation, outage.conditions[1].observed_generation), (Some(1), Some(1)));
    assert_eq!(outage.conditions[1].status, "False");
    let tried = of(&connected(1, "a"));
    assert_eq!((tried.observed_generation, tried.conditions[1].observed_generation), (Some(2), Some(2)));
}

#[test]
fn what_others_add_to_the_status_is_no_difference() {
    let after = history(&[(connect(), Some(connected(1, "a")))]).remove(0);
    let mut stored = after.clone();
    let foreign = Condition { type_: "PolicyChecked".into(), ..stored.conditions[0].clone() };
    stored.conditions.insert(0, foreign);
    stored.conditions.reverse();
    assert!(!differs(Some(&stored), &after));
    stored.error = Some("by another one".into());
    assert!(differs(Some(&stored), &after));
}

#[test]
fn a_missing_epoch_is_filled_in() {
    let before = ClusterStatus { observed_epoch: None, ..history(&[(connect(), Some(connected(1, "a")))])[0].clone() };
    let after = status(&cluster(Some(before)), &connect(), Some(&connected(1, "a")), OutageText::Old, late());
    assert_eq!(after.observed_epoch, Some(4));
}

#[test]
fn another_problem_with_the_configuration_is_a_change() {
    let invalid = |message: &str| Some(failed(connected(1, "a"), "InvalidConfig", message, About::Credentials));
    let statuses = history(&[(connect(), invalid("a")), (connect(), invalid("b"))]);
    assert_eq!(statuses[1].error.as_deref(), Some("b"));
    assert_eq!(statuses[1].conditions[1].message, "b; the previous connection stays in use");
    assert_eq!(events(Some(&statuses[0]), &statuses[1]), []);
}

#[test]
fn a_recovery_is_told_once() {
    let statuses = history(&[
        (connect(), Some(connected(1, "a"))),
        (connect(), Some(down("refused"))),
        (connect(), Some(connected(1, "a"))),
    ]);
    assert_eq!(events(Some(&statuses[1]), &statuses[2]), [(EventType::Normal, "Recovered".into())]);
    assert_eq!(events(Some(&statuses[2]), &statuses[2]), []);
}

#[test]
fn another_cluster_and_a_reset_differ_in_their_events() {
    let first = (connect(), Some(connected(1, "a")));
    let replaced = history(&[first.clone(), (connect(), Some(connected(2, "b")))]);
    assert_eq!(events(Some(&replaced[0]), &replaced[1]), [(EventType::Warning, "Replaced".into())]);
    let reset = history(&[first, (connect(), Some(connected(2, "a")))]);
    assert_eq!(events(Some(&reset[0]), &reset[1]), [(EventType::Normal, "Reset".into())]);
}

#[test]
fn a_missing_secret_beside_a_connection_is_about_the_credentials_only() {
    let statuses = history(&[(connect(), Some(connected(1, "a"))), (broken(), Some(connected(1, "a")))]);
    assert_eq!(
        conditions(&statuses[1]),
        ["Connected=True/Connected", "Ready=False/SecretNotFound", "CredentialsValid=False/SecretNotFound"]
    );
    assert_eq!(events(Some(&statuses[0]), &statuses[1]), [(EventType::Warning, "SecretNotFound".into())]);
}

#[test]
fn a_problem_is_told_once_though_three_conditions_have_it() {
    let statuses = history(&[(broken(), None)]);
    assert_eq!(events(None, &statuses[0]), [(EventType::Warning, "SecretNotFound".into())]);
}

#[test]
fn credentials_that_were_never_proven_are_unknown_in_an_outage() {
    let outage = Observed { connected_at: None, identity: None, ..down("refused") };
    let statuses = history(&[(connect(), Some(outage))]);
    assert_eq!(
        conditions(&statuses[0]),
        ["Connected=False/Unreachable", "Ready=False/Unreachable", "CredentialsValid=Unknown/Unreachable"]
    );
}
