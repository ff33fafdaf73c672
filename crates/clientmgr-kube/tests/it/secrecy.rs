//! Nothing secret shows, whatever is printed.

use std::fmt::Debug;

use clientmgr_fake::apiserver::Fault;
use clientmgr_kube::kube::config::{AuthInfo, Kubeconfig};
use clientmgr_kube::{ClientManager, ClientProvider, ClusterConfig, ConnectErrorKind as Kind, Fleet};

use crate::support::{builder, certificate, everything, fleet_with, key, kubeconfig, kubeconfig_of, server};

const SECRET: &str = "open-sesame";

fn assert_silent(what: &str, shown: &str) {
    assert!(!shown.contains("sesame"), "{what} shows the secret: {shown}");
}

fn assert_debug_silent(what: &str, value: &impl Debug) {
    assert_silent(what, &format!("{value:?} {value:#?}"));
}

/// A place of a kubeconfig that can hold a secret, and how connecting such a kubeconfig fails.
struct Place {
    what: &'static str,
    kubeconfig: Kubeconfig,
    /// The kind of the failure, and how its text ends.
    fails: (Kind, &'static str),
}

fn places() -> Vec<Place> {
    let user = |user: AuthInfo| kubeconfig(|_, slot| *slot = user);
    vec![
        Place {
            what: "token",
            kubeconfig: user(AuthInfo { token: Some(SECRET.into()), ..AuthInfo::default() }),
            fails: (Kind::Unreachable, "connection refused"),
        },
        Place {
            what: "broken token",
            kubeconfig: user(AuthInfo { token: Some(format!("{SECRET}\n{SECRET}").into()), ..AuthInfo::default() }),
            fails: (Kind::NoCredentials, "the token cannot be used"),
        },
        Place {
            what: "key",
            kubeconfig: user(AuthInfo {
                client_certificate_data: Some(certificate()),
                client_key_data: Some(SECRET.into()),
                ..AuthInfo::default()
            }),
            fails: (Kind::InvalidConfig, "is not valid Base64"),
        },
        Place {
            what: "password",
            kubeconfig: user(AuthInfo {
                username: Some("me".into()),
                password: Some(SECRET.into()),
                ..AuthInfo::default()
            }),
            fails: (Kind::Unreachable, "connection refused"),
        },
        Place {
            what: "server's user",
            kubeconfig: kubeconfig(|cluster, _| cluster.server = Some(format!("ftp://me:{SECRET}@127.0.0.1"))),
            fails: (Kind::InvalidConfig, ""),
        },
        Place {
            what: "proxy's user",
            kubeconfig: kubeconfig(|cluster, _| {
                cluster.proxy_url = Some(format!("gopher://me:{SECRET}@127.0.0.1"));
            }),
            fails: (Kind::InvalidConfig, "is not supported"),
        },
    ]
}

/// What a plugin gets and gives: scripts.
#[cfg(unix)]
fn plugins() -> Vec<Place> {
    use clientmgr_kube::kube::config::{ExecConfig, ExecInteractiveMode};

    let script = |text: String| ExecConfig {
        api_version: Some("client.authentication.k8s.io/v1".into()),
        command: Some("/bin/sh".into()),
        args: Some(vec!["-c".into(), text]),
        env: Some(vec![[("name".into(), "PASSWORD".into()), ("value".into(), SECRET.into())].into()]),
        interactive_mode: Some(ExecInteractiveMode::Never),
        ..ExecConfig::default()
    };
    let exec =
        |text: String| kubeconfig(|_, slot| *slot = AuthInfo { exec: Some(script(text)), ..AuthInfo::default() });
    vec![
        Place {
            what: "plugin's output",
            kubeconfig: exec(format!("echo {SECRET}; echo {SECRET} >&2")),
            fails: (Kind::NoCredentials, "printed no ExecCredential, neither as JSON nor as YAML"),
        },
        Place {
            what: "failing plugin's output",
            kubeconfig: exec(format!("echo {SECRET}; echo {SECRET} >&2; exit 1")),
            fails: (Kind::NoCredentials, "failed with exit code 1"),
        },
        Place {
            what: "plugin's broken token",
            kubeconfig: exec(format!(
                r#"echo '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{{"token":"{SECRET} {SECRET}"}}}}'"#
            )),
            fails: (Kind::NoCredentials, "cannot be used"),
        },
    ]
}

#[tokio::test]
async fn no_error_of_a_kubeconfig_shows_a_secret() {
    assert_all_silent(places()).await;
}

#[cfg(unix)]
#[tokio::test]
async fn no_error_of_a_plugin_shows_a_secret() {
    assert_all_silent(plugins()).await;
}

async fn assert_all_silent(places: Vec<Place>) {
    for Place { what, kubeconfig, fails } in places {
        let (fleet, key) = fleet_with(&kubeconfig);
        let error = fleet.wait_connected(&key).await.unwrap_err();
        let (kind, end) = fails;
        assert!(error.kind() == kind && error.to_string().ends_with(end), "{what}: {error:?}");
        assert_silent(what, &everything(&error));
        let error = ClientProvider::connection(&fleet, &key).await.map(|it| it.revision).unwrap_err();
        assert_silent(what, &everything(&error));
        assert_debug_silent(what, &fleet.snapshot(&key));
        assert_debug_silent(what, &fleet);
        assert_debug_silent(what, &ClusterConfig::from_kubeconfig(&kubeconfig, "east"));
    }
}

#[tokio::test]
async fn nothing_of_a_working_connection_shows_its_token() {
    let server = server("east").await;
    server.accept_token("me", SECRET);
    let user = AuthInfo { token: Some(SECRET.into()), ..AuthInfo::default() };
    let (fleet, _) = fleet_with(&kubeconfig_of(&server, user));
    fleet.wait_connected(&key("east")).await.unwrap();
    assert_debug_silent("fleet", &fleet);
    assert_debug_silent("snapshot", &fleet.snapshot(&key("east")));
    assert_debug_silent("builder", &builder());
    assert_debug_silent("manager", &ClientManager::new(Fleet::clone(&fleet)));

    let _fault = server.inject(Fault::Unauthorized);
    let error = fleet.probe(&key("east")).await.unwrap_err();
    assert_silent("unauthorized", &everything(&error));
}
