//! [`Fingerprint`]: a hash of what a configuration describes, the same however its maps are ordered.

use std::fmt;

use kube::Config;
use kube::config::ExecConfig;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::cluster_config::Source;
use super::identity::ClusterIdentity;
use super::policy::Policy;
use super::selection::Selection;

/// A hash of everything that a configuration describes. Not shown: credentials may be short enough to be guessed by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Adds what is set beside the source.
    pub(super) fn with(self, policy: Policy, namespace: Option<&str>, pin: Option<&ClusterIdentity>) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(policy.bits().to_be_bytes());
        for text in [namespace, pin.map(ClusterIdentity::as_str)] {
            put_optional(&mut hash, text);
        }
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
            values.iter().for_each(|value| put(hash, value));
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
