//! From the spec and the Secret to a configuration, or to the problem with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use clientmgr_kube::{ClusterConfig, Policy};
use k8s_openapi::ByteString;
use kube::config::Kubeconfig;
use serde_json::{Value, json};

use super::connection::{Allowed, Contexts, Desired, SecretState, desired, secret_of};
use super::secret_data::SecretData;
use crate::cluster::ClusterSpec;

const TEXT: &str = "
    current-context: east
    contexts: [{ name: east, context: { cluster: c, user: u } }, { name: west, context: { cluster: c, user: u } }]
    clusters: [{ name: c, cluster: { server: 'https://east.example.com' } }]
    users: [{ name: u, user: { token: hunter2 } }]
";

fn spec(json: Value) -> ClusterSpec {
    serde_json::from_value(json).unwrap()
}

fn secret(text: &str) -> SecretState {
    let data = BTreeMap::from([("kubeconfig".to_owned(), ByteString(text.as_bytes().to_vec()))]);
    SecretState::Read(Arc::new(SecretData::new(data)))
}

fn allowed() -> Allowed {
    Allowed { secrets: Policy::for_secrets(), contexts: Contexts::Denied, in_cluster: false }
}

fn by_secret() -> Value {
    json!({ "connection": { "kubeconfig": { "secretRef": { "name": "east" } } } })
}

fn with(mut spec: Value, field: &str, value: Value) -> Value {
    spec[field] = value;
    spec
}

fn config(desired: Desired) -> ClusterConfig {
    match desired {
        Desired::Connect(config) => config,
        other => panic!("no configuration: {other:?}"),
    }
}

/// The reason and the text of what is wrong.
fn problem(desired: Desired) -> (String, String) {
    match desired {
        Desired::Broken(problem) | Desired::Pending(problem) => (problem.reason(), problem.to_string()),
        other => panic!("no problem: {other:?}"),
    }
}

#[test]
fn only_a_kubeconfig_refers_to_a_secret() {
    assert_eq!(secret_of("fleet", &spec(by_secret())).map(|secret| secret.to_string()), Some("fleet/east".into()));
    assert_eq!(secret_of("fleet", &spec(json!({ "connection": { "inCluster": {} } }))), None);
}

#[test]
fn each_state_of_the_secret_has_its_reason_and_names_the_field() {
    let no_key = SecretState::Read(Arc::default());
    for (state, reason, field) in [
        (SecretState::Unread, "SecretPending", "spec.connection.kubeconfig.secretRef.name: "),
        (SecretState::NotFound, "SecretNotFound", "spec.connection.kubeconfig.secretRef.name: "),
        (SecretState::Forbidden, "SecretForbidden", "spec.connection.kubeconfig.secretRef.name: "),
        (SecretState::Unavailable, "SecretUnavailable", "spec.connection.kubeconfig.secretRef.name: "),
        (no_key, "SecretKeyNotFound", "spec.connection.kubeconfig.secretRef.key: "),
        (secret("contexts: []"), "InvalidConfig", "spec.connection.kubeconfig.secretRef: "),
        (secret("{"), "InvalidConfig", "spec.connection.kubeconfig.secretRef: "),
    ] {
        let found = problem(desired("fleet", &spec(by_secret()), &state, &allowed()));
        assert_eq!(found.0, reason);
        assert!(found.1.starts_with(field) && found.1.contains("fleet/east"), "{}", found.1);
    }
}

#[test]
fn another_context_namespace_or_user_is_another_configuration() {
    let of = |json| config(desired("fleet", &spec(json), &secret(TEXT), &allowed()));
    let mut west = by_secret();
    west["connection"]["kubeconfig"]["context"] = json!("west");
    let all = [
        of(by_secret()),
        of(west),
        of(with(by_secret(), "defaultNamespace", json!("shop"))),
        of(with(by_secret(), "impersonate", json!({ "user": "alice" }))),
        of(with(by_secret(), "impersonate", json!({ "user": "alice", "groups": ["dev"] }))),
        of(with(by_secret(), "impersonate", json!({ "user": "alice", "uid": "1" }))),
        of(with(by_secret(), "impersonate", json!({ "user": "alice", "extra": { "scopes": ["a"] } }))),
    ];
    for (index, config) in all.iter().enumerate() {
        assert_eq!(all.iter().position(|other| other == config), Some(index));
        assert!(!format!("{config:?}").contains("hunter2"));
    }
    assert_eq!(all[0], of(by_secret()));
}

#[test]
fn impersonation_in_the_secret_is_denied_also_where_the_spec_impersonates() {
    let text = TEXT.replace("token: hunter2", "token: hunter2, as: admin");
    let spec = spec(with(by_secret(), "impersonate", json!({ "user": "alice" })));
    let found = problem(desired("fleet", &spec, &secret(&text), &allowed()));
    assert_eq!(found.0, "DeniedByPolicy");
    assert!(found.1.contains("users[0].user.as: "), "{}", found.1);
}

#[test]
fn contexts_are_those_of_the_controllers_kubeconfig_and_need_to_be_allowed() {
    let context = |name: &str| spec(json!({ "connection": { "context": { "name": name } } }));
    let none = SecretState::default();
    assert_eq!(problem(desired("fleet", &context("east"), &none, &allowed())).0, "NotAllowed");
    let file = Kubeconfig::from_yaml(TEXT).unwrap();
    let expected = ClusterConfig::from_kubeconfig(&file, "east");
    let allowed = Allowed { contexts: Contexts::Read(Arc::new(file)), ..allowed() };
    assert_eq!(config(desired("fleet", &context("east"), &none, &allowed)), expected);
    let found = problem(desired("fleet", &context("north"), &none, &allowed));
    assert_eq!(found.0, "InvalidConfig");
    assert!(found.1.starts_with("spec.connection.context.name: "), "{}", found.1);
}

#[test]
fn the_controllers_own_cluster_needs_to_be_allowed_and_takes_a_pod() {
    let spec = spec(json!({ "connection": { "inCluster": {} } }));
    assert_eq!(problem(desired("fleet", &spec, &SecretState::default(), &allowed())).0, "NotAllowed");
    // Tests do not run in a Pod.
    let allowed = Allowed { in_cluster: true, ..allowed() };
    let found = problem(desired("fleet", &spec, &SecretState::default(), &allowed));
    assert!(found.1.starts_with("spec.connection.inCluster: "), "{}", found.1);
}

#[test]
fn a_connection_of_a_later_version_is_a_problem() {
    let found = problem(desired("fleet", &spec(json!({ "connection": {} })), &SecretState::default(), &allowed()));
    assert_eq!(found.0, "UnknownConnection");
}
