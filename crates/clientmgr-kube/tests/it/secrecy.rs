//! Nothing secret shows, whatever is printed.

use std::fmt::Debug;

use clientmgr_fake::apiserver::{Fault, Requests};
use clientmgr_kube::kube::config::{AuthInfo, ExecConfig, Kubeconfig};
use clientmgr_kube::{ClientManager, Endpoint, Fleet};

use crate::support::{builder, everything, fleet_with, key, kubeconfig, kubeconfig_of, server};

const SECRET: &str = "open-sesame";

fn assert_silent(what: &str, shown: &str) {
    assert!(!shown.contains("sesame"), "{what} shows the secret: {shown}");
}

fn assert_debug_silent(what: &str, value: &impl Debug) {
    assert_silent(what, &format!("{value:?} {value:#?}"));
}

/// All the places of a kubeconfig that can hold a secret.
fn kubeconfigs() -> Vec<(&'static str, Kubeconfig)> {
    let script = |text: String| ExecConfig {
        api_version: Some("client.authentication.k8s.io/v1".into()),
        command: Some("/bin/sh".into()),
        args: Some(vec!["-c".into(), text]),
        env: Some(vec![[("name".into(), "PASSWORD".into()), ("value".into(), SECRET.into())].into()]),
        ..ExecConfig::default()
    };
    let exec = |text: String| AuthInfo { exec: Some(script(text)), ..AuthInfo::default() };
    let user = |user: AuthInfo| kubeconfig(|_, slot| *slot = user);
    vec![
        ("token", user(AuthInfo { token: Some(SECRET.into()), ..AuthInfo::default() })),
        ("broken token", user(AuthInfo { token: Some(format!("{SECRET}\n{SECRET}").into()), ..AuthInfo::default() })),
        (
            "key",
            user(AuthInfo {
                client_certificate_data: Some(String::new()),
                client_key_data: Some(SECRET.into()),
                ..AuthInfo::default()
            }),
        ),
        (
            "password",
            user(AuthInfo { username: Some("me".into()), password: Some(SECRET.into()), ..AuthInfo::default() }),
        ),
        ("plugin's output", user(exec(format!("echo {SECRET}; echo {SECRET} >&2")))),
        ("failing plugin's output", user(exec(format!("echo {SECRET}; echo {SECRET} >&2; exit 1")))),
        (
            "plugin's broken token",
            user(exec(format!(
                r#"echo '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{{"token":"{SECRET} "x"}}}}'"#
            ))),
        ),
        ("server's user", kubeconfig(|cluster, _| cluster.server = Some(format!("ftp://me:{SECRET}@127.0.0.1")))),
        (
            "proxy's user",
            kubeconfig(|cluster, _| {
                cluster.proxy_url = Some(format!("gopher://me:{SECRET}@127.0.0.1"));
            }),
        ),
    ]
}

#[tokio::test]
async fn no_error_shows_a_secret() {
    for (what, kubeconfig) in kubeconfigs() {
        let (fleet, key) = fleet_with(&kubeconfig);
        let error = fleet.connect(&key).await.unwrap_err();
        assert_silent(what, &everything(&error));
        assert_silent(what, &everything(error.failure()));
        let error = clientmgr_kube::ClientProvider::connection(&fleet, &key).await.map(|it| it.revision).unwrap_err();
        assert_silent(what, &everything(&error));
        assert_debug_silent(what, &fleet.status(&key));
        assert_debug_silent(what, &fleet);
        assert_debug_silent(what, &Endpoint::from_kubeconfig(&kubeconfig, "east"));
    }
}

#[tokio::test]
async fn nothing_of_a_working_connection_shows_its_token() {
    let server = server("east").await;
    server.accept_token("me", SECRET);
    let user = AuthInfo { token: Some(SECRET.into()), ..AuthInfo::default() };
    let (fleet, _) = fleet_with(&kubeconfig_of(&server, user));
    fleet.connect(&key("east")).await.unwrap();
    assert_debug_silent("fleet", &fleet);
    assert_debug_silent("status", &fleet.status(&key("east")));
    assert_debug_silent("builder", &builder());
    assert_debug_silent("manager", &ClientManager::new(Fleet::clone(&fleet)));

    let _fault = server.inject(Fault::Unauthorized.on(Requests::any()));
    let error = fleet.check(&key("east")).await.unwrap_err();
    assert_silent("unauthorized", &everything(&error));
}
