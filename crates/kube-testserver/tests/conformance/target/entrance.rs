//! The access to a server: its address, its authority, and the credentials of all users.

use std::error::Error;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use kube_testserver::RealServer;
use serde_json::{Value, json};

use super::in_process::InProcess;

/// Whose credential a request is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The administrator, by client certificate.
    Admin,
    /// The administrator, by token.
    AdminByToken,
    /// A user that may do nothing beyond what every user may.
    Outsider,
    /// A token that the server does not know.
    Impostor,
    /// No credential.
    Anonymous,
}

/// Address and credentials of a running server.
pub(crate) struct Entrance {
    pub(super) url: String,
    pub(super) ca_pem: String,
    pub(super) admin_certificate_pem: String,
    pub(super) admin_key_pem: String,
    pub(super) admin_token: String,
    pub(super) outsider_token: String,
}

impl Entrance {
    pub(super) fn of_real(real: &RealServer, admin_token: String, outsider_token: String) -> Self {
        let text = |text: Option<&str>| text.expect("the administrator has a certificate").to_owned();
        Self {
            url: real.url(),
            ca_pem: real.ca_pem().to_owned(),
            admin_certificate_pem: text(real.admin().certificate_pem()),
            admin_key_pem: text(real.admin().key_pem()),
            admin_token,
            outsider_token,
        }
    }

    pub(super) fn kubeconfig(&self, who: Who, namespace: &str) -> Value {
        let user = match who {
            Who::Admin => json!({
                "client-certificate-data": STANDARD.encode(&self.admin_certificate_pem),
                "client-key-data": STANDARD.encode(&self.admin_key_pem),
            }),
            Who::AdminByToken => json!({"token": self.admin_token}),
            Who::Outsider => json!({"token": self.outsider_token}),
            Who::Impostor => json!({"token": "an-unknown-token"}),
            Who::Anonymous => json!({}),
        };
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "conformance",
            "clusters": [{"name": "conformance", "cluster": {
                "server": self.url, "certificate-authority-data": STANDARD.encode(&self.ca_pem),
            }}],
            "users": [{"name": "conformance", "user": user}],
            "contexts": [{"name": "conformance", "context": {
                "cluster": "conformance", "user": "conformance", "namespace": namespace,
            }}],
        })
    }

    pub(super) async fn client(&self, who: Who, namespace: &str) -> Result<Client, Box<dyn Error>> {
        let kubeconfig: Kubeconfig = serde_json::from_value(self.kubeconfig(who, namespace))?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        config.default_retry = false;
        config.proxy_url = None;
        Ok(Client::try_from(config)?)
    }
}

impl InProcess {
    pub(super) fn entrance(&self) -> Entrance {
        let text = |text: Option<&str>| text.expect("a credential of this kind").to_owned();
        Entrance {
            url: self.server.url(),
            ca_pem: self.server.ca_pem().expect("the server speaks TLS"),
            admin_certificate_pem: text(self.admin.certificate_pem()),
            admin_key_pem: text(self.admin.key_pem()),
            admin_token: text(self.admin_by_token.token()),
            outsider_token: text(self.outsider.token()),
        }
    }
}
