//! [`Fingerprint`]: a hash of what a configuration describes, the same however its maps are ordered.

use std::fmt;

use kube::Config;
use kube::config::ExecConfig;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::identity::ClusterIdentity;
use super::impersonation::Impersonation;
use super::policy::Policy;
use super::selection::Selection;
use super::source::Source;

/// A hash of everything that a configuration describes. Not shown: credentials may be short enough to be guessed by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Adds what is set beside the source.
    pub(super) fn with(
        self,
        policy: Policy,
        namespace: Option<&str>,
        pin: Option<&ClusterIdentity>,
        impersonation: Option<&Impersonation>,
    ) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(policy.bits().to_be_bytes());
        for text in [namespace, pin.map(ClusterIdentity::as_str)] {
            put_optional(&mut hash, text);
        }
        let impersonated =
            impersonation.map(|Impersonation { user, uid, groups, extra }| json!([user, uid, groups, extra]));
        put(&mut hash, &impersonated.unwrap_or_default());
        Self(hash.finalize().into())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(..)")
    }
}

/// Returns the fingerprint of what a configuration was made from.
pub(super) fn of(source: &Source) -> Fingerprint {
    let mut hash = Sha256::new();
    put(
        &mut hash,
        &match source {
            Source::Selection(selection) => of_selection(selection),
            Source::Config(config) => of_config(config),
        },
    );
    Fingerprint(hash.finalize().into())
}

fn of_selection(selection: &Selection) -> Value {
    json!({
        "header": selection.header_problem(),
        "name": selection.name,
        "context": selection.context,
        "cluster": selection.cluster,
        "user": selection.user,
        "exec": selection.user.as_ref().and_then(|user| user.exec.as_ref()).map(skipped_by_serde),
        "namespace": selection.namespace_file.as_ref().map(|path| path.to_string_lossy()),
    })
}

fn of_config(config: &Config) -> Value {
    let headers: Vec<_> = config.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    json!({
        "server": config.cluster_url.to_string(),
        "namespace": config.default_namespace,
        "authority": config.root_cert,
        "authority file": config.root_cert_file.as_ref().map(|path| path.to_string_lossy()),
        "timeouts": [config.connect_timeout, config.read_timeout, config.write_timeout],
        "flags": [
            config.reset_reader_on_write,
            config.accept_invalid_certs,
            config.disable_compression,
            config.default_retry,
        ],
        "user": config.auth_info,
        "exec": config.auth_info.exec.as_ref().map(skipped_by_serde),
        "proxy": config.proxy_url.as_ref().map(ToString::to_string),
        "name": config.tls_server_name,
        "headers": headers,
    })
}

/// Returns the fields of a plugin's configuration that are never written to a kubeconfig.
fn skipped_by_serde(exec: &ExecConfig) -> Value {
    json!([exec.drop_env, exec.cluster])
}

/// Adds `value` so that different values add different bytes: each with its kind and length, maps sorted by their keys.
fn put(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hash.update(b"0"),
        Value::Bool(value) => hash.update(if *value { b"t" } else { b"f" }),
        Value::Number(number) => put_text(hash, b'n', &number.to_string()),
        Value::String(text) => put_text(hash, b's', text),
        Value::Array(values) => {
            put_length(hash, b'a', values.len());
            for value in values {
                put(hash, value);
            }
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| name.as_str());
            put_length(hash, b'o', fields.len());
            for (name, value) in fields {
                put_text(hash, b'k', name);
                put(hash, value);
            }
        }
    }
}

fn put_optional(hash: &mut Sha256, text: Option<&str>) {
    match text {
        Some(text) => put_text(hash, b's', text),
        None => hash.update(b"0"),
    }
}

fn put_text(hash: &mut Sha256, kind: u8, text: &str) {
    put_length(hash, kind, text.len());
    hash.update(text);
}

fn put_length(hash: &mut Sha256, kind: u8, length: usize) {
    hash.update([kind]);
    hash.update((length as u64).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use clientmgr_core::ConnectedAt;
    use http::Uri;
    use kube::Config;
    use kube::config::Kubeconfig;

    use crate::{ClusterConfig, ClusterIdentity, Impersonation, Incarnation, Naming, Policy};

    const BASE: &str = "contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: 'https://east'}}]
users: [{name: u, user: {token: t, as: x, as-user-extra: {a: [b], c: [d], e: [f], g: [h]}}}]";

    fn config(text: &str) -> ClusterConfig {
        ClusterConfig::from_kubeconfig(&Kubeconfig::from_yaml(text).unwrap(), "c")
    }

    #[test]
    fn the_order_of_maps_and_entries_makes_no_difference() {
        let reordered = "users: [{name: y, user: {token: other}}, {name: u, user: {as-user-extra: {g: [h], e: [f], c: [d], a: [b]}, as: x, token: t}}]
clusters: [{cluster: {server: 'https://east'}, name: c}]
contexts: [{name: c, context: {user: u, cluster: c}}]";
        for _ in 0..32 {
            assert_eq!(config(BASE), config(reordered));
        }
    }

    #[test]
    fn whatever_is_changed_makes_another_configuration() {
        let edits = [
            ("token: t", "token: T"),
            ("token: t", "tokenFile: t"),
            ("as: x", "as: y"),
            ("a: [b]", "a: [b, b]"),
            ("https://east", "https://west"),
            ("server:", "tls-server-name: x, server:"),
            ("server:", "unknown: x, server:"),
            ("user: u", "user: u, namespace: n"),
        ];
        let base = config(BASE);
        let incarnation = |micros| Incarnation {
            identity: "uid".parse().unwrap(),
            revision: ConnectedAt::from_unix_micros(micros).unwrap(),
        };
        let pin: ClusterIdentity = "uid".parse().unwrap();
        let mut all: Vec<_> = edits.iter().map(|(from, to)| config(&BASE.replacen(from, to, 1))).collect();
        all.extend([
            base.clone(),
            base.clone().with_policy(Policy::for_secrets()),
            base.clone().with_identity(pin),
            base.clone().with_identity("another".parse().unwrap()),
            base.clone().with_default_namespace("uid"),
            base.clone().with_default_namespace(""),
            base.clone().with_impersonation(Impersonation::new("x")),
            base.clone().with_impersonation(Impersonation { uid: Some("1".into()), ..Impersonation::new("x") }),
            base.clone().with_impersonation(Impersonation { groups: vec!["1".into()], ..Impersonation::new("x") }),
            base.clone().with_impersonation(Impersonation {
                extra: [("1".into(), Vec::new())].into(),
                ..Impersonation::new("x")
            }),
        ]);
        let fingerprints: HashSet<_> = all.iter().map(ClusterConfig::fingerprint).collect();
        assert_eq!(fingerprints.len(), all.len());

        let adopted = base.clone().with_incarnation(incarnation(1));
        assert_eq!(adopted.fingerprint(), base.fingerprint(), "an incarnation is no part of the fingerprint");
        assert_ne!(adopted, base);
        let adopting = base.clone().with_naming(Naming::AdoptOnly);
        assert_eq!(adopting.fingerprint(), base.fingerprint(), "nor is who names it");
        assert_ne!(adopting, base);
        assert_ne!(adopted, base.with_incarnation(incarnation(2)));
    }

    #[test]
    fn a_ready_configuration_has_a_fingerprint_too() {
        let config = |edit: fn(&mut Config)| {
            let mut config = Config::new(Uri::from_static("https://east"));
            edit(&mut config);
            ClusterConfig::from(config)
        };
        let edits: [fn(&mut Config); 12] = [
            |_| (),
            |config| config.cluster_url = Uri::from_static("https://west"),
            |config| config.default_namespace = "n".into(),
            |config| config.root_cert = Some(vec![vec![1]]),
            |config| config.root_cert = Some(vec![vec![1], vec![]]),
            |config| config.root_cert_file = Some("/ca".into()),
            |config| config.write_timeout = None,
            |config| config.accept_invalid_certs = true,
            |config| config.auth_info.token = Some("t".into()),
            |config| config.proxy_url = Some(Uri::from_static("http://proxy")),
            |config| config.tls_server_name = Some("x".into()),
            |config| config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static("x"))),
        ];
        let fingerprints: HashSet<_> = edits.iter().map(|edit| config(*edit).fingerprint()).collect();
        assert_eq!(fingerprints.len(), edits.len());
        assert_eq!(config(edits[8]), config(edits[8]));
    }
}
