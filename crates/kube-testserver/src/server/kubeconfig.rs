//! Kubeconfigs that lead to a server, as kube's type and as text.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kube::config::{AuthInfo, Cluster, Context, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};
use serde_json::json;

use crate::access::credential::{Credential, Secret};

/// Where a kubeconfig leads.
pub(crate) struct Destination<'a> {
    pub(crate) name: &'a str,
    pub(crate) url: String,
    /// The authority to trust; none over plain HTTP.
    pub(crate) ca_pem: Option<String>,
}

/// A kubeconfig with one cluster, one user and one context, all called like the server.
pub(crate) fn kubeconfig(to: &Destination<'_>, credential: &Credential) -> Kubeconfig {
    let mut user = AuthInfo::default();
    match credential.secret() {
        Secret::Token(token) => user.token = Some(token.clone().into()),
        Secret::Certificate(issued) => {
            user.client_certificate_data = Some(STANDARD.encode(&issued.certificate_pem));
            user.client_key_data = Some(STANDARD.encode(&issued.key_pem).into());
        }
    }
    let name = to.name.to_owned();
    Kubeconfig {
        clusters: vec![NamedCluster {
            name: name.clone(),
            cluster: Some(Cluster {
                server: Some(to.url.clone()),
                certificate_authority_data: to.ca_pem.as_ref().map(|pem| STANDARD.encode(pem)),
                ..Cluster::default()
            }),
            ..NamedCluster::default()
        }],
        auth_infos: vec![NamedAuthInfo {
            name: user_name(to, credential),
            auth_info: Some(user),
            ..NamedAuthInfo::default()
        }],
        contexts: vec![NamedContext {
            name: name.clone(),
            context: Some(Context {
                cluster: name.clone(),
                user: Some(user_name(to, credential)),
                namespace: Some("default".to_owned()),
                ..Context::default()
            }),
            ..NamedContext::default()
        }],
        current_context: Some(name),
        kind: Some("Config".to_owned()),
        api_version: Some("v1".to_owned()),
        ..Kubeconfig::default()
    }
}

/// The same kubeconfig as YAML, for a file or a Secret. It holds the credential's secret in clear.
pub(crate) fn yaml(to: &Destination<'_>, credential: &Credential) -> String {
    // A JSON string is a YAML scalar, whatever is in it.
    let quoted = |text: &str| json!(text).to_string();
    let (name, user, server) = (quoted(to.name), quoted(&user_name(to, credential)), quoted(&to.url));
    let authority = to
        .ca_pem
        .as_ref()
        .map_or_else(String::new, |pem| format!("    certificate-authority-data: {}\n", STANDARD.encode(pem)));
    let secret = match credential.secret() {
        Secret::Token(token) => format!("    token: {}\n", quoted(token)),
        Secret::Certificate(issued) => format!(
            "    client-certificate-data: {}\n    client-key-data: {}\n",
            STANDARD.encode(&issued.certificate_pem),
            STANDARD.encode(&issued.key_pem)
        ),
    };
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: {name}\n  cluster:\n    server: {server}\n{authority}\
         users:\n- name: {user}\n  user:\n{secret}contexts:\n- name: {name}\n  context:\n    cluster: {name}\n    \
         user: {user}\n    namespace: default\ncurrent-context: {name}\n"
    )
}

fn user_name(to: &Destination<'_>, credential: &Credential) -> String {
    format!("{}@{}", credential.user().name(), to.name)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{access::credential::User, pki::authority::Authority};

    #[test]
    fn text_and_type_say_the_same() {
        let authority = Authority::new("test").expect("an authority");
        let alice = User::new("system:alice \"x\"").group("g");
        let issued = authority.issue_client("alice", None, Duration::from_secs(60)).expect("a certificate");
        for credential in [
            Credential::from_token(alice.clone(), "se:cret # \"1".to_owned()),
            Credential::from_certificate(alice, issued),
        ] {
            for ca_pem in [None, Some(authority.pem().to_owned())] {
                let to = Destination { name: "one: two", url: "https://127.0.0.1:1".to_owned(), ca_pem };
                let read = Kubeconfig::from_yaml(&yaml(&to, &credential)).expect("valid YAML");
                let as_value = |config: &Kubeconfig| serde_json::to_value(config).expect("serializable");
                assert_eq!(as_value(&read), as_value(&kubeconfig(&to, &credential)));
            }
        }
    }
}
