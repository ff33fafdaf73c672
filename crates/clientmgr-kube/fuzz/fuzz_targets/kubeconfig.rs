//! Any bytes as a kubeconfig: no panic, no hang, and no text that holds a token, a password or a key of it.

#![no_main]

use std::error::Error;

use clientmgr_kube::kube::config::Kubeconfig;
use clientmgr_kube::{ClusterConfig, ConnectError, Policy, contexts};
use libfuzzer_sys::fuzz_target;
use secrecy::ExposeSecret;

/// Secrets shorter than this occur in texts by chance.
const SHORTEST: usize = 8;

fuzz_target!(|bytes: &[u8]| {
    let mut shown = String::new();
    if let Err(error) = ClusterConfig::from_secret(bytes, None) {
        show(&mut shown, &error);
    }
    let Some(kubeconfig) = std::str::from_utf8(bytes).ok().and_then(|text| Kubeconfig::from_yaml(text).ok()) else {
        return;
    };
    for context in contexts(&kubeconfig) {
        let trusted = ClusterConfig::from_kubeconfig(&kubeconfig, context);
        assert_eq!(trusted, ClusterConfig::from_kubeconfig(&kubeconfig, context));
        for config in [trusted.clone().with_policy(Policy::for_secrets()), trusted] {
            shown.push_str(&format!("{config:?}"));
            if let Err(error) = config.validate() {
                show(&mut shown, &error);
            }
        }
    }
    for secret in secrets(&kubeconfig) {
        assert!(!shown.contains(&secret), "a secret is shown");
    }
});

fn show(shown: &mut String, error: &ConnectError) {
    shown.push_str(&format!("{error} {error:?} {:?}", error.field()));
    let mut source = error.source();
    while let Some(error) = source {
        shown.push_str(&format!("{error} {error:?}"));
        source = error.source();
    }
}

/// The secrets that occur nowhere else: what is a name too is shown as that.
fn secrets(kubeconfig: &Kubeconfig) -> Vec<String> {
    let mut public = kubeconfig.clone();
    let mut secrets = Vec::new();
    for user in public.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        let taken = [user.token.take(), user.password.take(), user.client_key_data.take()];
        secrets.extend(taken.into_iter().flatten().map(|secret| secret.expose_secret().to_owned()));
    }
    let public = serde_json::to_string(&public).unwrap_or_default();
    secrets.retain(|secret| secret.len() >= SHORTEST && !public.contains(secret.as_str()));
    secrets
}
