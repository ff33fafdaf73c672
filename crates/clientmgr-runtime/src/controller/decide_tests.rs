//! The decision about one Cluster, in all its combinations.

use std::sync::Arc;

use clientmgr_kube::{ClusterConfig, ConnectErrorKind, ConnectedAt, ConnectionState, Incarnation, Naming};
use jiff::Timestamp;
use kube::config::Kubeconfig;
use serde_json::json;

use super::conditions::OutageText;
use super::connection::Desired;
use super::decide::{Decision, FleetStep, Input, Role, decide};
use super::observed::{About, Failure, Observed};
use super::problem::{ConfigProblem, reason_of_kind};
use crate::cluster::{Cluster, ClusterStatus, ConditionType, find_condition};

const UID: &str = "0b1cb3f0-9d36-4b07-b8f2-2c40a5b8f6a1";

fn revision(micros: i64) -> ConnectedAt {
    ConnectedAt::from_unix_micros(micros).unwrap()
}

fn config(context: &str) -> ClusterConfig {
    ClusterConfig::from_kubeconfig(&Kubeconfig::default(), context)
}

fn problem() -> Arc<ConfigProblem> {
    Arc::new(ConfigProblem::UnknownConnection)
}

fn desires() -> [Desired; 4] {
    let pending = ConfigProblem::SecretPending { secret: "east".into() };
    [
        Desired::Pending(Arc::new(pending)),
        Desired::Connect(config("new")),
        Desired::Broken(problem()),
        Desired::Docker("unix:///docker.sock".into()),
    ]
}

/// A Cluster whose status names this revision.
fn cluster(named: Option<i64>, paused: bool, epoch: i64) -> Cluster {
    let status = named.map(|micros| json!({ "connectedAt": revision(micros), "identity": UID, "observedEpoch": 1 }));
    let json = json!({
        "apiVersion": "clientmgr.dev/v1alpha1", "kind": "Cluster",
        "metadata": { "namespace": "fleet", "name": "east", "generation": 2 },
        "spec": { "connection": { "inCluster": {} }, "paused": paused, "epoch": epoch },
        "status": status,
    });
    serde_json::from_value(json).unwrap()
}

fn observed(state: ConnectionState, serves: Option<i64>) -> Observed {
    let failure = (state == ConnectionState::Unavailable).then(|| Failure {
        reason: "Unreachable".into(),
        message: "no connection".into(),
        about: About::Server,
    });
    Observed {
        state,
        connected_at: serves.map(revision),
        identity: serves.map(|_| UID.to_owned()),
        version: None,
        credentials_expire_at: None,
        is_pending: false,
        failure,
    }
}

/// What the fleet can say, with the revision that it serves.
fn observations() -> Vec<Option<Observed>> {
    let mut all = vec![None, Some(observed(ConnectionState::Connecting, None))];
    for state in [ConnectionState::Connected, ConnectionState::Unavailable] {
        all.extend([1, 5, 9].map(|serves| Some(observed(state, Some(serves)))));
    }
    all.push(Some(observed(ConnectionState::Unavailable, None)));
    all
}

/// Everything that the decision depends on, but for times.
struct Case {
    cluster: Cluster,
    desired: Desired,
    applied: Option<ClusterConfig>,
    observed: Option<Observed>,
    reset_to: Option<ConnectedAt>,
    latest_named: Option<ConnectedAt>,
    without_effect: Option<ClusterStatus>,
    role: Role,
}

impl Case {
    fn decide(&self) -> Decision {
        decide(&Input {
            cluster: &self.cluster,
            desired: &self.desired,
            applied: self.applied.as_ref(),
            observed: self.observed.as_ref(),
            reset_to: self.reset_to,
            latest_named: self.latest_named.max(self.named()),
            without_effect: self.without_effect.as_ref(),
            outage_text: OutageText::Old,
            role: self.role,
            now: Timestamp::UNIX_EPOCH,
        })
    }

    fn names(&self) -> bool {
        self.role == Role::Writer && !self.cluster.spec.paused
    }

    fn named(&self) -> Option<ConnectedAt> {
        self.cluster.status.as_ref().and_then(|status| status.connected_at)
    }

    fn serves(&self) -> Option<ConnectedAt> {
        self.observed.as_ref().and_then(|observed| observed.connected_at)
    }
}

/// All 2,304 combinations.
fn cases() -> impl Iterator<Item = Case> {
    let clusters = [None, Some(5)].into_iter().flat_map(|named| {
        [false, true].into_iter().flat_map(move |paused| [1, 2].map(|epoch| cluster(named, paused, epoch)))
    });
    clusters.flat_map(|cluster| {
        desires().into_iter().flat_map(move |desired| {
            let cluster = cluster.clone();
            [None, Some(config("old"))].into_iter().flat_map(move |applied| {
                let (cluster, desired) = (cluster.clone(), desired.clone());
                observations().into_iter().flat_map(move |observed| {
                    let (cluster, desired, applied) = (cluster.clone(), desired.clone(), applied.clone());
                    [Role::Writer, Role::Reader].into_iter().flat_map(move |role| {
                        [None, Some(revision(9))].map(|reset_to| Case {
                            cluster: cluster.clone(),
                            desired: desired.clone(),
                            applied: applied.clone(),
                            observed: observed.clone(),
                            reset_to,
                            latest_named: None,
                            without_effect: None,
                            role,
                        })
                    })
                })
            })
        })
    })
}

#[test]
fn only_the_writer_names_incarnations_and_every_process_adopts_the_named_one() {
    for case in cases() {
        if let FleetStep::Connect { base, config, .. } = case.decide().fleet {
            let naming = if case.names() { Naming::Mint } else { Naming::AdoptOnly };
            let expected = base.with_naming(naming);
            let expected = match case.cluster.status.as_ref().and_then(ClusterStatus::incarnation) {
                Some(incarnation) => expected.with_incarnation(incarnation),
                None => expected,
            };
            assert_eq!(config, expected);
        }
    }
}

#[test]
fn a_paused_or_broken_cluster_keeps_the_configuration_that_it_has() {
    for case in cases() {
        let FleetStep::Connect { base, .. } = case.decide().fleet else { continue };
        let desired = match &case.desired {
            Desired::Connect(config) => Some(config.clone()),
            _ => None,
        };
        let expected = if case.cluster.spec.paused { case.applied.or(desired) } else { desired.or(case.applied) };
        assert_eq!(Some(base), expected);
    }
}

#[test]
fn only_the_writer_writes_and_while_paused_only_what_it_had_named_before() {
    let mut paused = 0;
    for case in cases().filter(|case| case.decide().status.is_some()) {
        assert!(case.role == Role::Writer && (case.names() || case.serves() > case.named()));
        paused += u32::from(!case.names());
    }
    assert!(paused > 0);
}

#[test]
fn a_written_status_names_the_served_revision_or_the_one_of_before() {
    for case in cases() {
        let Some(status) = case.decide().status else { continue };
        assert_eq!(status.connected_at, case.named().max(case.serves()));
        assert!(status.connected_at >= case.named(), "a revision never goes back");
    }
}

#[test]
fn a_reader_leaves_what_no_status_named() {
    for case in cases() {
        if case.role == Role::Reader && case.serves() > case.named() {
            let step = case.decide().fleet;
            assert!(matches!(step, FleetStep::Disconnect | FleetStep::Keep), "{step:?}");
        }
    }
}

#[test]
fn a_writer_keeps_what_it_has_named_until_the_status_says_so() {
    for case in cases().filter(|case| case.role == Role::Writer && !matches!(case.desired, Desired::Docker(_))) {
        assert_ne!(case.decide().fleet, FleetStep::Disconnect);
    }
}

#[test]
fn nothing_is_written_while_the_fleet_serves_an_earlier_revision_than_the_status_names() {
    let mut earlier = 0;
    for case in cases().filter(|case| case.serves().is_some() && case.serves() < case.named()) {
        assert_eq!(case.decide().status, None);
        earlier += 1;
    }
    assert!(earlier > 0);
}

#[test]
fn a_status_that_goes_back_costs_no_reader_its_connection() {
    let mut kept = 0;
    for mut case in cases().filter(|case| !matches!(case.desired, Desired::Docker(_))) {
        case.latest_named = Some(revision(9));
        assert_ne!(case.decide().fleet, FleetStep::Disconnect);
        kept += u32::from(case.role == Role::Reader && case.serves() > case.named());
    }
    assert!(kept > 0);
}

#[test]
fn a_status_that_names_a_later_revision_of_another_cluster_is_exceeded_once() {
    let mut case = Case {
        cluster: cluster(Some(5), false, 1),
        desired: Desired::Connect(config("new")),
        applied: None,
        observed: Some(Observed { identity: Some("another".into()), ..observed(ConnectionState::Connected, Some(1)) }),
        reset_to: None,
        latest_named: None,
        without_effect: None,
        role: Role::Writer,
    };
    let is_reset = |case: &Case| matches!(case.decide().fleet, FleetStep::Connect { reset: true, .. });
    assert!(is_reset(&case));
    assert_eq!(case.decide().status, None, "the status waits for the new revision");
    case.role = Role::Reader;
    assert!(!is_reset(&case));
    case.role = Role::Writer;
    case.reset_to = Some(revision(6));
    assert!(!is_reset(&case));
    case.reset_to = None;
    case.observed.as_mut().unwrap().is_pending = true;
    assert!(!is_reset(&case), "the configuration that is being tried may lead to the named one");
    case.observed = Some(observed(ConnectionState::Connected, Some(1)));
    assert!(!is_reset(&case), "the fleet adopts a later revision of the same cluster by itself");
}

#[test]
fn a_write_that_had_no_effect_is_not_repeated() {
    for mut case in cases() {
        let Some(status) = case.decide().status else { continue };
        case.without_effect = Some(status);
        assert_eq!(case.decide().status, None);
    }
}

#[test]
fn a_raised_epoch_resets_what_the_status_names_once() {
    let mut resets = 0;
    for case in cases() {
        let is_reset = matches!(case.decide().fleet, FleetStep::Connect { reset: true, .. });
        let is_raised = case.cluster.spec.epoch == 2 && case.named().is_some();
        let is_due = case.names() && is_raised && case.serves() == case.named() && case.reset_to.is_none();
        assert!(!is_reset || is_due);
        if is_due {
            assert!(case.decide().status.is_none(), "the status waits for the new revision");
        }
        resets += u32::from(is_reset);
    }
    assert!(resets > 0);
}

#[test]
fn a_docker_cluster_is_not_in_the_fleet() {
    let docker = |case: &Case| matches!(case.desired, Desired::Docker(_)) && !case.cluster.spec.paused;
    for case in cases().filter(docker) {
        assert_eq!(case.decide().fleet, FleetStep::Disconnect);
    }
}

#[test]
fn a_status_that_was_written_is_not_written_again() {
    for mut case in cases() {
        let Some(status) = case.decide().status else { continue };
        case.cluster.status = Some(status);
        assert_eq!(case.decide().status, None);
    }
}

#[test]
fn a_revision_without_an_identity_is_still_exceeded() {
    let mut cluster = cluster(Some(5), false, 1);
    cluster.status.as_mut().unwrap().identity = None;
    let desired = Desired::Connect(config("new"));
    let (applied, observed, reset_to, role) = (None, None, None, Role::Writer);
    let (latest_named, without_effect) = (None, None);
    let case = Case { cluster, desired, applied, observed, reset_to, latest_named, without_effect, role };
    let FleetStep::Connect { config: given, .. } = case.decide().fleet else { panic!("not connected") };
    let incarnation = Incarnation { identity: "unknown".parse().unwrap(), revision: revision(5) };
    assert_eq!(given, config("new").with_incarnation(incarnation));
}

#[test]
fn a_new_writer_waits_until_the_fleet_has_named_what_answers() {
    let reason = reason_of_kind(ConnectErrorKind::UnknownIncarnation);
    let failure = Failure { reason, message: "not named".into(), about: About::Server };
    let unnamed = Observed { failure: Some(failure), ..observed(ConnectionState::Unavailable, None) };
    let case = Case {
        cluster: cluster(Some(5), false, 1),
        desired: Desired::Connect(config("new")),
        applied: None,
        observed: Some(unnamed),
        reset_to: None,
        latest_named: None,
        without_effect: None,
        role: Role::Writer,
    };
    assert_eq!(case.decide().status, None);
}

#[test]
fn a_revision_ahead_of_the_clock_is_refused_and_costs_no_connection() {
    let day = 24 * 3_600 * 1_000_000;
    let problem = |micros| ConfigProblem::of_revision(Some(revision(micros)), Timestamp::UNIX_EPOCH);
    assert!(problem(day).is_none() && ConfigProblem::of_revision(None, Timestamp::UNIX_EPOCH).is_none());
    let problem = Arc::new(problem(day + 1).unwrap());
    for mut case in cases() {
        case.desired = Desired::Broken(Arc::clone(&problem));
        case.cluster.status = cluster(Some(day + 1), false, 1).status;
        let Decision { fleet, status } = case.decide();
        assert_eq!(fleet, FleetStep::Keep);
        assert_eq!(status.is_some(), case.names(), "the writer says it");
        let Some(status) = status else { continue };
        assert_eq!(status.connected_at, case.named());
        let condition = |type_| find_condition(&status.conditions, type_).unwrap();
        assert_eq!(condition(ConditionType::Ready).reason, "RevisionAhead");
        assert_ne!(condition(ConditionType::CredentialsValid).status, "False");
    }
}
