//! Credential plugins, real ones: scripts.
#![cfg(unix)]

use std::path::Path;
use std::time::Duration;

use clientmgr_fake::apiserver::TestServer;
use clientmgr_kube::kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode, Kubeconfig};
use clientmgr_kube::{ConnectError, ConnectFailure, PluginProblem};

use crate::support::{SOON, builder, connect, fleet_with, key, kubeconfig, kubeconfig_of, served, server};

const V1: &str = "client.authentication.k8s.io/v1";

fn script(text: &str) -> ExecConfig {
    ExecConfig {
        api_version: Some(V1.into()),
        command: Some("/bin/sh".into()),
        args: Some(vec!["-c".into(), text.into()]),
        ..ExecConfig::default()
    }
}

fn with(exec: ExecConfig) -> AuthInfo {
    AuthInfo { exec: Some(exec), ..AuthInfo::default() }
}

/// A context whose plugin is `exec`, and whose server is nowhere.
fn nowhere(exec: ExecConfig) -> Kubeconfig {
    kubeconfig(|_, user| *user = with(exec))
}

/// Prints a credential with these fields in its status.
fn printing(status: &str) -> String {
    format!(r#"echo '{{"apiVersion":"{V1}","kind":"ExecCredential","status":{{{status}}}}}'"#)
}

fn token_of(server: &TestServer) -> String {
    server.admin().token().unwrap().to_owned()
}

/// Counts its own runs in a file.
fn counting(file: &Path, then: &str) -> String {
    format!("echo run >> '{}'; {then}", file.display())
}

fn runs(file: &Path) -> usize {
    std::fs::read_to_string(file).unwrap_or_default().lines().count()
}

async fn plugin_problem(exec: ExecConfig) -> PluginProblem {
    let error = connect(&nowhere(exec)).await.unwrap_err();
    match error.failure() {
        ConnectFailure::Plugin(problem) => problem.clone(),
        other => panic!("not a problem of the plugin: {other:?}"),
    }
}

#[tokio::test]
async fn a_plugin_runs_once_for_a_connection() {
    let server = server("east").await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("runs");
    let exec = script(&counting(&file, &printing(&format!(r#""token":"{}""#, token_of(&server)))));
    let (fleet, key) = fleet_with(&kubeconfig_of(&server, with(exec)));
    fleet.connect(&key).await.unwrap();
    served(&fleet, &key).await.client.apiserver_version().await.unwrap();
    assert_eq!(runs(&file), 1);
    fleet.reconnect(&key).await.unwrap();
    assert_eq!(runs(&file), 2);
}

#[tokio::test]
async fn a_plugin_may_give_a_certificate() {
    let server = server("east").await;
    let alice = server.issue_certificate("alice", Duration::from_secs(3600)).unwrap();
    let quoted = |pem: &str| pem.replace('\n', "\\n");
    let status = format!(
        r#""clientCertificateData":"{}","clientKeyData":"{}","expirationTimestamp":"2100-01-01T00:00:00Z""#,
        quoted(alice.certificate_pem().unwrap()),
        quoted(alice.key_pem().unwrap())
    );
    // `printf` and not `echo`: what is printed must be JSON in every shell.
    let text = format!(r#"{{"apiVersion":"{V1}","kind":"ExecCredential","status":{{{status}}}}}"#);
    let mut exec = script("printf '%s' \"$CREDENTIAL\"");
    exec.env = Some(vec![[("name".into(), "CREDENTIAL".into()), ("value".into(), text)].into()]);
    let (fleet, key) = fleet_with(&kubeconfig_of(&server, with(exec)));
    fleet.connect(&key).await.unwrap();
    assert_eq!(server.requests()[0].user.as_deref(), Some("alice"));
    let until = served(&fleet, &key).await.client.valid_until().expect("the certificate's end");
    assert_eq!(until.to_string(), "2100-01-01T00:00:00Z");
}

#[tokio::test]
async fn a_plugin_may_print_yaml() {
    let server = server("east").await;
    let text = format!("apiVersion: {V1}\nkind: ExecCredential\nstatus:\n  token: {}\n", token_of(&server));
    connect(&kubeconfig_of(&server, with(script(&format!("printf '%s' '{text}'"))))).await.unwrap();
}

#[tokio::test]
async fn a_plugin_is_told_what_it_is_asked_for() {
    let server = server("east").await;
    let expected = format!(r#""apiVersion":"{V1}""#);
    let check = format!(
        r#"case "$KUBERNETES_EXEC_INFO" in *'{expected}'*'"server":"https://'*) ;; *) exit 9;; esac; {}"#,
        printing(&format!(r#""token":"{}""#, token_of(&server)))
    );
    let exec = ExecConfig { provide_cluster_info: true, ..script(&check) };
    connect(&kubeconfig_of(&server, with(exec))).await.unwrap();
}

#[tokio::test]
async fn contexts_that_share_a_plugin_tell_it_each_of_their_own_cluster() {
    let (east, west) = (server("east").await, server("west").await);
    let directory = tempfile::tempdir().unwrap();
    // Each cluster accepts a token of its own, which the plugin finds by what it is told of the cluster.
    for server in [&east, &west] {
        let token = directory.path().join(server.address().port().to_string());
        std::fs::write(token, token_of(server)).unwrap();
    }
    let text = format!(
        r#"port=$(printf '%s' "$KUBERNETES_EXEC_INFO" | sed 's/.*"server":"https:..[^:]*:\([0-9]*\).*/\1/')
        printf '{{"apiVersion":"{V1}","kind":"ExecCredential","status":{{"token":"%s"}}}}' "$(cat "{}/$port")""#,
        directory.path().display()
    );
    let exec = ExecConfig { provide_cluster_info: true, ..script(&text) };
    let mut both = kubeconfig_of(&east, with(exec)).merge(west.kubeconfig()).unwrap();
    let user = both.contexts[0].context.as_ref().unwrap().user.clone();
    for context in &mut both.contexts {
        context.context.as_mut().unwrap().user.clone_from(&user);
    }

    let fleet = builder().build();
    fleet.add_contexts(&both);
    for _ in 0..2 {
        for (cluster, outcome) in fleet.connect_all().await {
            outcome.unwrap_or_else(|error| panic!("{cluster}: {error}"));
            fleet.reconnect(&cluster).await.unwrap();
        }
    }
    assert_ne!(token_of(&east), token_of(&west));
}

#[tokio::test]
async fn a_plugin_that_is_not_installed_is_an_error() {
    let exec = ExecConfig { command: Some("no-such-plugin-anywhere".into()), ..script("") };
    let problem = plugin_problem(exec).await;
    assert!(matches!(&problem, PluginProblem::NotInstalled { command } if command == "no-such-plugin-anywhere"));
    for command in [None, Some(String::new())] {
        assert!(matches!(plugin_problem(ExecConfig { command, ..script("") }).await, PluginProblem::NoCommand));
    }
}

#[tokio::test]
async fn a_plugin_that_cannot_be_started_is_an_error() {
    let directory = ExecConfig { command: Some("/".into()), ..script("") };
    let nul = ExecConfig { args: Some(vec!["a\0b".into()]), ..script("") };
    for exec in [directory, nul] {
        let problem = plugin_problem(exec).await;
        assert!(matches!(problem, PluginProblem::NotStarted { .. }), "{problem:?}");
    }
}

#[tokio::test]
async fn a_plugin_that_fails_is_an_error_with_its_code() {
    let problem = plugin_problem(script("echo sesame; echo sesame >&2; exit 3")).await;
    assert_eq!(problem.to_string(), "the credential plugin \"/bin/sh\" failed with exit code 3");
    let problem = plugin_problem(script("kill -9 $$")).await;
    assert!(matches!(problem, PluginProblem::Failed { code: None, .. }), "{problem:?}");
}

#[tokio::test]
async fn a_plugin_that_prints_something_else_is_an_error() {
    let other_version = printing(r#""token":"t""#).replace("k8s.io/v1", "k8s.io/v1beta1");
    let other_kind = printing(r#""token":"t""#).replace("ExecCredential", "Secret");
    let none = "no ExecCredential, neither as JSON nor as YAML";
    let garbage = "an ExecCredential without a usable token or certificate";
    let table = [
        ("true", none),
        ("echo sesame", none),
        ("echo '{'", none),
        ("echo '[]'", none),
        ("printf '\\377\\376'", none),
        ("echo '{}'", none),
        (&other_kind, none),
        (&other_version, "an ExecCredential of another apiVersion than it was asked for"),
        (&printing(""), garbage),
        (&printing(r#""token":7"#), garbage),
        (&printing(r#""clientCertificateData":"only""#), garbage),
        (
            &printing(r#""token":"t","expirationTimestamp":"tomorrow""#),
            "an ExecCredential whose expirationTimestamp is no time",
        ),
    ];
    for (text, expected) in table {
        let problem = plugin_problem(script(text)).await;
        assert_eq!(problem.to_string(), format!("the credential plugin \"/bin/sh\" printed {expected}"), "{text}");
    }
    let problem = plugin_problem(script(&printing(r#""token":"a b""#))).await;
    assert!(matches!(problem, PluginProblem::Token { .. }), "{problem:?}");
}

#[tokio::test]
async fn a_token_that_never_ends_may_say_so() {
    let server = server("east").await;
    let status = format!(r#""token":"{}","expirationTimestamp":"9999-12-31T23:59:59Z""#, token_of(&server));
    connect(&kubeconfig_of(&server, with(script(&printing(&status))))).await.unwrap();
}

/// Aliases of aliases: a few hundred bytes that keep a reader of YAML busy for a while.
#[tokio::test]
async fn reading_what_a_plugin_printed_delays_nobody() {
    let mut lines = vec!["a: &a [x,x,x,x,x,x,x,x,x]".to_owned()];
    for (last, next) in ('a'..='j').zip('b'..) {
        lines.push(format!("{next}: &{next} [{}]", [format!("*{last}").as_str(); 9].join(",")));
    }
    let bomb = lines.join("\n");
    let reading = plugin_problem(script(&format!("printf '%s' '{bomb}'")));
    let mut reading = std::pin::pin!(reading);
    let (begun, mut longest) = (std::time::Instant::now(), Duration::ZERO);
    let problem = loop {
        let before = std::time::Instant::now();
        let polled = futures::poll!(reading.as_mut());
        longest = longest.max(before.elapsed());
        if let std::task::Poll::Ready(problem) = polled {
            break problem;
        }
        tokio::task::yield_now().await;
    };
    assert!(matches!(problem, PluginProblem::NoCredential { .. }), "{problem:?}");
    let all = begun.elapsed();
    assert!(longest < all / 2, "polled for {longest:?} of {all:?}");
}

#[tokio::test]
async fn a_plugin_that_prints_without_end_is_an_error() {
    let problem = plugin_problem(script("exec cat /dev/zero")).await;
    assert!(matches!(problem, PluginProblem::TooMuchOutput { .. }), "{problem:?}");
}

#[tokio::test]
async fn a_plugin_of_an_unknown_version_is_not_run() {
    for version in [None, Some("client.authentication.k8s.io/v1alpha1"), Some("")] {
        let exec = ExecConfig { api_version: version.map(Into::into), ..script("exit 3") };
        assert!(matches!(plugin_problem(exec).await, PluginProblem::ApiVersion { .. }), "{version:?}");
    }
}

#[tokio::test]
async fn a_plugin_that_needs_a_terminal_is_not_run() {
    let exec = ExecConfig { interactive_mode: Some(ExecInteractiveMode::Always), ..script("exit 3") };
    assert!(matches!(plugin_problem(exec).await, PluginProblem::NeedsTerminal { .. }));
    // And one that only would like one gets none, nor anything to read.
    let exec = ExecConfig { interactive_mode: Some(ExecInteractiveMode::IfAvailable), ..script("cat; exit 3") };
    assert!(matches!(plugin_problem(exec).await, PluginProblem::Failed { code: Some(3), .. }));
}

#[tokio::test]
async fn a_plugin_that_hangs_is_killed_and_delays_no_other() {
    let server = server("good").await;
    let directory = tempfile::tempdir().unwrap();
    let pid = directory.path().join("pid");
    let hanging = nowhere(script(&format!("echo $$ > '{}'; exec sleep 3600", pid.display())));
    let fleet = builder().connect_deadline(Duration::from_secs(2)).build();
    fleet.add_contexts(&server.kubeconfig().merge(hanging).unwrap());

    let outcomes = fleet.connect_all().await;
    let [(_, hanging), (_, good)] = &outcomes[..] else { panic!("two clusters") };
    assert!(good.is_ok(), "{good:?}");
    assert!(hanging.as_ref().is_err_and(ConnectError::is_timeout), "{hanging:?}");
    let pid = std::fs::read_to_string(pid).unwrap();
    let process = Path::new("/proc").join(pid.trim());
    if Path::new("/proc/self").exists() {
        // Killed at once, and reaped by the runtime a moment later.
        while process.exists() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_plugin_is_killed_when_its_cluster_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let started = directory.path().join("started");
    let exec = script(&format!("echo > '{}'; exec sleep 3600", started.display()));
    let fleet = builder().build();
    fleet.add_contexts(&nowhere(exec));
    let remover = async {
        while !started.exists() {
            tokio::task::yield_now().await;
        }
        fleet.remove(&key("east"));
    };
    let (outcome, ()) = futures::future::join(fleet.connect(&key("east")), remover).await;
    assert!(matches!(outcome.unwrap_err().failure(), ConnectFailure::Removed));
}

#[tokio::test]
async fn a_token_that_expires_is_issued_anew_without_a_new_connection() {
    let server = server("east").await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("runs");
    // Within the minute in which it is renewed early, so every request calls for a renewal.
    let soon = (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(45)).to_string();
    let status = format!(r#""token":"{}","expirationTimestamp":"{soon}""#, token_of(&server));
    let exec = script(&counting(&file, &printing(&status)));
    let (fleet, key) = fleet_with(&kubeconfig_of(&server, with(exec)));
    let revision = fleet.connect(&key).await.unwrap();
    let connection = served(&fleet, &key).await;
    connection.client.apiserver_version().await.unwrap();
    assert_eq!(runs(&file), 1, "not again within five seconds");

    pass(Duration::from_secs(6)).await;
    connection.client.apiserver_version().await.unwrap();
    while runs(&file) < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(served(&fleet, &key).await.revision, revision);
}

#[tokio::test]
async fn a_renewal_that_fails_is_told_by_its_type_and_does_not_end_the_client() {
    let server = server("east").await;
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("broken");
    let soon = (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(1)).to_string();
    let status = format!(r#""token":"{}","expirationTimestamp":"{soon}""#, token_of(&server));
    let exec = script(&format!("test -e '{}' && exit 3; {}", broken.display(), printing(&status)));
    let (fleet, key) = fleet_with(&kubeconfig_of(&server, with(exec)));
    fleet.connect(&key).await.unwrap();
    std::fs::write(&broken, "").unwrap();
    while jiff::Timestamp::now() < soon.parse().unwrap() {
        tokio::task::yield_now().await;
    }

    pass(Duration::from_secs(6)).await;
    let error = fleet.check(&key).await.unwrap_err();
    assert!(matches!(error.failure(), ConnectFailure::Plugin(PluginProblem::Failed { .. })), "{error:?}");
    std::fs::remove_file(&broken).unwrap();
    pass(Duration::from_secs(6)).await;
    fleet.check(&key).await.unwrap();
}

#[tokio::test]
async fn a_plugin_that_always_hangs_reads_the_same_each_time() {
    let fleet = builder().connect_deadline(SOON).build();
    fleet.add_contexts(&nowhere(script("exec sleep 3600")));
    for _ in 0..5 {
        let error = fleet.connect(&key("east")).await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        let expected = "cluster east: the credential plugin \"/bin/sh\" did not answer within 300ms";
        assert_eq!(error.to_string(), expected);
    }
}

/// Lets the monotonic clock run ahead. Real sockets and processes wait for nothing meanwhile.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}
