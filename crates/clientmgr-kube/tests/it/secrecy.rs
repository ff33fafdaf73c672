//! Nothing secret shows, whatever is printed.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use clientmgr_fake::apiserver::{Fault, Replacement};
use clientmgr_kube::kube::config::{AuthInfo, Kubeconfig};
use clientmgr_kube::{
    ClientManager, ClientProvider, ClusterConfig, ClusterSnapshot, ConnectErrorKind as Kind, Fleet, NamespacedName,
};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

use crate::support::{builder, certificate, everything, fleet_with, key, kubeconfig, kubeconfig_of, server, until};

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
    assert_debug_silent("snapshot", &fleet.snapshot(key("east")));
    assert_debug_silent("builder", &builder());
    assert_debug_silent("manager", &ClientManager::new(Fleet::clone(&fleet)));

    let _fault = server.inject(Fault::Unauthorized);
    let error = fleet.probe(&key("east")).await.unwrap_err();
    assert_silent("unauthorized", &everything(&error));
}

/// Keeps all that this crate and its own crates trace.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<String>>);

impl Recorder {
    fn recorded(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    fn push(&self, metadata: &Metadata<'_>, record: impl FnOnce(&mut dyn Visit)) {
        let mut text = format!("{} {} {}", metadata.level(), metadata.target(), metadata.name());
        record(&mut |field: &Field, value: &dyn Debug| text.extend([" ", field.name(), "=", &format!("{value:?}")]));
        *self.0.lock().unwrap() += &(text + "\n");
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("clientmgr")
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        self.push(span.metadata(), |visit| span.record(visit));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut |field: &Field, value: &dyn Debug| {
            self.0.lock().unwrap().extend([field.name(), "=", &format!("{value:?}"), "\n"]);
        });
    }

    fn event(&self, event: &Event<'_>) {
        self.push(event.metadata(), |visit| event.record(visit));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// All that is shown of a cluster at this moment.
async fn shown(fleet: &Fleet, key: &NamespacedName) -> String {
    let mut shown = format!("{fleet:?} {:?}", fleet.snapshots());
    if let Some(error) = fleet.snapshot(key).and_then(|snapshot| snapshot.error) {
        shown += &everything(&error);
    }
    if let Err(error) = ClientProvider::connection(fleet, key).await {
        shown += &everything(&error);
    }
    fleet.explain(key).map_or(shown.clone(), |explanation| format!("{shown} {explanation} {explanation:?}"))
}

#[tokio::test]
async fn a_full_run_traces_and_explains_each_transition_and_shows_no_credential() {
    let recorder = Recorder::default();
    // Of the process, so that other threads are heard as well.
    tracing::subscriber::set_global_default(recorder.clone()).unwrap();
    let server = server("east").await;
    let east = key("east");
    let fast = builder().probe_interval(Duration::from_millis(50)).failure_threshold(2).build();
    let token = |token: &str| AuthInfo { token: Some(token.to_owned().into()), ..AuthInfo::default() };
    let upsert =
        |user: AuthInfo| fast.upsert("east", ClusterConfig::from_kubeconfig(&kubeconfig_of(&server, user), "east"));
    let mut output = String::new();

    for accepted in ["open-sesame-1", "open-sesame-2"] {
        server.accept_token("me", accepted);
    }
    upsert(token("open-sesame-1"));
    fast.wait_connected(&east).await.unwrap();
    let kind = |snapshot: &ClusterSnapshot| snapshot.error.as_ref().map(clientmgr_kube::ConnectError::kind);
    let password = AuthInfo { username: Some("me".into()), password: Some(SECRET.into()), ..AuthInfo::default() };
    for refused in [token("wrong-sesame"), password] {
        upsert(refused);
        until(&fast, &east, |now| now.is_connected() && kind(now) == Some(Kind::Unauthorized)).await;
        output += &shown(&fast, &east).await;
    }
    let certificate = server.issue_certificate("me", Duration::from_secs(3_600)).unwrap();
    let key_pem = certificate.key_pem().unwrap();
    fast.upsert("east", ClusterConfig::from_kubeconfig(&server.kubeconfig_for(&certificate), "east"));
    until(&fast, &east, |now| now.error.is_none()).await;
    output += &shown(&fast, &east).await;
    upsert(token("open-sesame-2"));
    fast.reconnect(&east).await.unwrap();

    server.stop().await;
    until(&fast, &east, |now| !now.is_connected()).await;
    output += &shown(&fast, &east).await;
    server.start().await.unwrap();
    let revision = until(&fast, &east, ClusterSnapshot::is_connected).await.connected_at;
    let reset = fast.reset(&east).await.unwrap();
    assert!(Some(reset) > revision);

    server.replace(Replacement::SameCa).unwrap();
    server.accept_token("me", "open-sesame-2");
    until(&fast, &east, |now| now.is_connected() && now.connected_at > Some(reset)).await;
    output += &shown(&fast, &east).await;
    let explanation = fast.explain(&east).unwrap().to_string();
    assert!(fast.remove(&east));
    assert!(fast.explain(&east).is_none());
    output += &shown(&fast, &east).await;
    fast.shutdown().await;

    let recorded = recorder.recorded();
    let steps = [
        "connected",
        "update failed",
        "rotated",
        "unavailable",
        "recovered",
        "reset",
        "replaced",
        "connected",
        "removed",
    ];
    let mut rest = recorded.as_str();
    for step in steps {
        let (_, after) = rest.split_once(&format!("message={step}")).unwrap_or_else(|| panic!("no {step} in {rest}"));
        rest = after;
    }
    let mut rest = explanation.as_str();
    for step in &steps[..steps.len() - 1] {
        let (_, after) = rest.split_once(&format!("Z {step}")).unwrap_or_else(|| panic!("no {step} in {explanation}"));
        rest = after;
    }
    for expected in
        ["member cluster=east", "the attempt failed", "phase=\"prove\"", "the probe failed", "attempt attempt=1"]
    {
        assert!(recorded.contains(expected), "no {expected} in {recorded}");
    }
    output += &recorded;
    assert_silent("the run", &output);
    let encoded = base64::engine::general_purpose::STANDARD.encode(key_pem);
    let lines = key_pem.lines().filter(|line| !line.starts_with("-----"));
    for secret in lines.chain([encoded.as_str()]) {
        assert!(!output.contains(secret), "the run shows the key");
    }
}
