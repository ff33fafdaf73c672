//! Kubeconfigs that are damaged at random: whatever comes of one, nothing panics and no text holds a secret.

use std::error::Error;
use std::fmt::Debug;

use kube::config::Kubeconfig;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::environment::Environment;
use super::load::load_in;
use crate::{ClusterConfig, ConnectError, Policy, contexts};

/// What each secret of [`WHOLE`] contains.
const SECRET: &str = "S3CR3T";

/// Has a field of every kind, secrets where there may be some, and lists of users to choose from.
const WHOLE: &str = "apiVersion: v1
kind: Config
current-context: a
contexts:
- name: a
  context:
    cluster: a
    user: a
    namespace: team
- name: b
  context:
    cluster: b
    user: b
- name: c
  context:
    cluster: a
    user: c
- name: d
  context:
    cluster: b
    user: d
clusters:
- name: a
  cluster:
    server: https://east.example.com:6443/path
    certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCmFHVnNiRzg9Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K
    tls-server-name: east
- name: b
  cluster:
    server: https://me:S3CR3T-a@127.0.0.1:1
    insecure-skip-tls-verify: true
    proxy-url: http://me:S3CR3T-b@127.0.0.1:1
users:
- name: a
  user:
    token: S3CR3T-c
    tokenFile: eyJS3CR3T-d
    as: somebody
    as-user-extra:
      scope:
      - S3CR3T-e
- name: b
  user:
    username: me
    password: S3CR3T-f
- name: c
  user:
    client-certificate-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCmFHVnNiRzg9Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K
    client-key-data: S3CR3Tg
    client-key: LS0tS3CR3T-h
    auth-provider:
      name: oidc
      config:
        id-token: S3CR3T-i
        refresh-token: S3CR3T-j
        client-secret: S3CR3T-k
- name: d
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: login
      args:
      - S3CR3T-l
      env:
      - name: PASSWORD
        value: S3CR3T-m
      interactiveMode: Never
      provideClusterInfo: true
";

/// Values that no field expects.
const HOSTILE: [&str; 20] = [
    "",
    "null",
    "~",
    "[]",
    "{}",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "!!binary aGVsbG8=",
    "&a [*a, *a]",
    "*nowhere",
    "|",
    ">",
    "'\\0'",
    "\"\\0\\n\\x1b[2J\"",
    "1e999",
    "-1",
    "0x10",
    "true",
    "2026-11-27",
    "https://[::1",
    "\u{202e}ü",
];

#[derive(Clone, Debug)]
enum Mutation {
    /// Changes a few characters, too few to make a secret's field another one.
    Insert(Index, char),
    Remove(Index),
    Replace(Index, char),
    Line(Index, LineMutation),
}

#[derive(Clone, Debug)]
enum LineMutation {
    Remove,
    Double,
    SwapWithNext,
    Indent,
    Value(&'static str),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let character =
        || prop_oneof![select(":-{}[]\"'|>&*!#%@`, \n\t\r\0\u{feff}\u{85}".chars().collect::<Vec<_>>()), any::<char>()];
    let line = prop_oneof![
        Just(LineMutation::Remove),
        Just(LineMutation::Double),
        Just(LineMutation::SwapWithNext),
        Just(LineMutation::Indent),
        select(HOSTILE.to_vec()).prop_map(LineMutation::Value),
    ];
    prop_oneof![
        (any::<Index>(), character()).prop_map(|(at, character)| Mutation::Insert(at, character)),
        any::<Index>().prop_map(Mutation::Remove),
        (any::<Index>(), character()).prop_map(|(at, character)| Mutation::Replace(at, character)),
        (any::<Index>(), line).prop_map(|(at, line)| Mutation::Line(at, line)),
    ]
}

fn mutated(text: &str, mutation: &Mutation) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    match mutation {
        Mutation::Line(at, line) => return mutated_line(text, at, line),
        Mutation::Insert(at, character) => characters.insert(at.index(characters.len() + 1), *character),
        Mutation::Remove(at) if !characters.is_empty() => drop(characters.remove(at.index(characters.len()))),
        Mutation::Replace(at, character) if !characters.is_empty() => {
            let at = at.index(characters.len());
            characters[at] = *character;
        }
        Mutation::Remove(_) | Mutation::Replace(..) => {}
    }
    characters.into_iter().collect()
}

fn mutated_line(text: &str, at: &Index, mutation: &LineMutation) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return String::new();
    }
    let at = at.index(lines.len());
    match mutation {
        LineMutation::Remove => drop(lines.remove(at)),
        LineMutation::Double => lines.insert(at, lines[at].clone()),
        LineMutation::SwapWithNext => lines.swap(at, (at + 1).min(text.lines().count() - 1)),
        LineMutation::Indent => lines[at].insert_str(0, "  "),
        LineMutation::Value(value) => {
            if let Some((name, _)) = lines[at].split_once(": ") {
                lines[at] = format!("{name}: {value}");
            }
        }
    }
    lines.join("\n")
}

/// Does with a text all that a program may do with a kubeconfig; returns everything that it would see of it.
fn seen(text: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut see_error = |error: ConnectError| {
        seen.push(format!("{error} {error:?} {:?}", error.field()));
        let mut source = error.source();
        while let Some(error) = source {
            seen.push(format!("{error} {error:?}"));
            source = error.source();
        }
    };
    let mut configs = Vec::new();
    for context in [None, Some("b")] {
        match ClusterConfig::from_secret(text.as_bytes(), context) {
            Ok(config) => configs.push(config),
            Err(error) => see_error(error),
        }
    }
    if let Ok(kubeconfig) = Kubeconfig::from_yaml(text) {
        for context in contexts(&kubeconfig) {
            let config = ClusterConfig::from_kubeconfig(&kubeconfig, context);
            configs.push(config.clone().with_policy(Policy::for_secrets()));
            configs.push(config);
        }
    }
    for config in &configs {
        assert_eq!(config, &config.clone());
        let valid = config.validate();
        match load_in(config, &Environment::default()) {
            Ok(_) => assert!(valid.is_ok(), "what loads is valid"),
            Err(failure) => see_error(ConnectError::without_cluster(failure)),
        }
        valid.err().into_iter().for_each(&mut see_error);
    }
    seen.extend(configs.iter().map(shown));
    seen
}

fn shown(config: &impl Debug) -> String {
    format!("{config:?} {config:#?}")
}

#[test]
fn the_undamaged_kubeconfig_shows_no_secret_and_each_context_is_reached() {
    let seen = seen(WHOLE);
    assert!(seen.iter().all(|text| !text.contains(SECRET)), "{seen:#?}");
    for field in ["clusters[1].cluster.server", "users[2].user", "users[3].user.exec"] {
        assert!(seen.iter().any(|text| text.contains(field)), "{field}: {seen:#?}");
    }
}

proptest! {
    #[test]
    fn a_damaged_kubeconfig_is_an_error_or_usable_and_shows_no_secret(
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        let text = mutations.iter().fold(WHOLE.to_owned(), |text, mutation| mutated(&text, mutation));
        for seen in seen(&text) {
            prop_assert!(!seen.contains(SECRET), "{seen}\n{text}");
        }
    }

    #[test]
    fn any_text_is_an_error_or_a_kubeconfig(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        seen(&text);
        if let Err(error) = ClusterConfig::from_secret(&bytes, None) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
