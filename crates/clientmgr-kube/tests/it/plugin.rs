//! Credential plugins, real ones: scripts.
#![cfg(unix)]

use std::path::Path;
use std::time::Duration;

use clientmgr_fake::apiserver::TestServer;
use clientmgr_kube::ConnectErrorKind;
use clientmgr_kube::kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode, Kubeconfig};

use crate::support::{
    SOON, assert_refused, builder, connect, failure, fleet_with, holds, key, kubeconfig, kubeconfig_of, served, server,
    snapshot,
};

const V1: &str = "client.authentication.k8s.io/v1";

fn script(text: &str) -> ExecConfig {
    ExecConfig {
        api_version: Some(V1.into()),
        command: Some("/bin/sh".into()),
        args: Some(vec!["-c".into(), text.into()]),
        interactive_mode: Some(ExecInteractiveMode::Never),
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

/// Asserts that the plugin `exec` gives no credentials, in these words.
async fn assert_no_credentials(exec: ExecConfig, text: &str) {
    assert_refused(&nowhere(exec), ConnectErrorKind::NoCredentials, "", text).await;
}

/// Asserts that the plugin `exec` is not run, for what this field of it says.
async fn assert_not_run(exec: ExecConfig, field: &str, text: &str) {
    let field = format!("users[0].user.exec.{field}");
    assert_refused(&nowhere(exec), ConnectErrorKind::InvalidConfig, &field, text).await;
}

#[tokio::test]
async fn a_plugin_runs_once_for_a_connection() {
    let server = server("east").await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("runs");
    let exec = script(&counting(&file, &printing(&format!(r#""token":"{}""#, token_of(&server)))));
    let (fleet, key) = fleet_with(&kubeconfig_of(&server, with(exec)));
    fleet.wait_connected(&key).await.unwrap();
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
    fleet.wait_connected(&key).await.unwrap();
    assert_eq!(server.requests()[0].user.as_deref(), Some("alice"));
    let until = snapshot(&fleet, &key).credentials_expire_at.expect("the certificate's end");
    assert!(until < "2100-01-01T00:00:00Z".parse().unwrap(), "the certificate ends before the plugin says: {until}");
}

#[tokio::test]
async fn a_plugin_may_print_yaml() {
    let server = server("east").await;
    let text = format!("apiVersion: {V1}\nkind: ExecCredential\nstatus:\n  token: {}\n", token_of(&server));
    connect(&kubeconfig_of(&server, with(script(&format!("printf '%s' '{text}'"))))).await.unwrap();
}

#[tokio::test]
async fn a_plugin_gets_the_request_in_its_environment() {
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
    // Each cluster accepts a token of its own, which the plugin finds by the cluster that it is given.
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
        for cluster in fleet.clusters() {
            fleet.wait_connected(&cluster).await.unwrap();
            fleet.reconnect(&cluster).await.unwrap();
        }
    }
    assert_ne!(token_of(&east), token_of(&west));
}

#[tokio::test]
async fn a_plugin_that_is_not_installed_is_an_error() {
    let exec = ExecConfig { command: Some("no-such-plugin-anywhere".into()), ..script("") };
    assert_no_credentials(exec, "the credential plugin \"no-such-plugin-anywhere\" is not installed").await;
    for command in [None, Some(String::new())] {
        let exec = ExecConfig { command, ..script("") };
        assert_not_run(exec, "command", "a credential plugin needs a command").await;
    }
}

#[tokio::test]
async fn a_plugin_that_cannot_be_started_is_an_error() {
    let directory = ExecConfig { command: Some("/".into()), ..script("") };
    let nul = ExecConfig { args: Some(vec!["a\0b".into()]), ..script("") };
    for (exec, command) in [(directory, "/"), (nul, "/bin/sh")] {
        let error = failure(&nowhere(exec)).await;
        assert_eq!(error.kind(), ConnectErrorKind::NoCredentials);
        let expected = format!("cluster east: the credential plugin {command:?} cannot be started");
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn a_plugin_that_fails_is_an_error_with_its_code() {
    let exec = script("echo sesame; echo sesame >&2; exit 3");
    assert_no_credentials(exec, "the credential plugin \"/bin/sh\" failed with exit code 3").await;
    assert_no_credentials(script("kill -9 $$"), "the credential plugin \"/bin/sh\" failed: a signal ended it").await;
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
            "an ExecCredential whose expirationTimestamp is not an RFC 3339 time",
        ),
    ];
    for (text, expected) in table {
        assert_no_credentials(script(text), &format!("the credential plugin \"/bin/sh\" printed {expected}")).await;
    }
    let exec = script(&printing(r#""token":"a b""#));
    assert_no_credentials(exec, "the token of the credential plugin \"/bin/sh\" cannot be used").await;
}

#[tokio::test]
async fn a_token_that_never_ends_may_say_so() {
    let server = server("east").await;
    let status = format!(r#""token":"{}","expirationTimestamp":"9999-12-31T23:59:59Z""#, token_of(&server));
    connect(&kubeconfig_of(&server, with(script(&printing(&status))))).await.unwrap();
}

/// Aliases of aliases: a few hundred bytes that keep a reader of YAML busy for a while.
#[tokio::test]
async fn reading_what_a_plugin_printed_blocks_no_worker_of_the_runtime() {
    let mut lines = vec!["a: &a [x,x,x,x,x,x,x,x,x]".to_owned()];
    for (last, next) in ('a'..='j').zip('b'..) {
        lines.push(format!("{next}: &{next} [{}]", [format!("*{last}").as_str(); 9].join(",")));
    }
    let bomb = lines.join("\n");
    let bomb = nowhere(script(&format!("printf '%s' '{bomb}'")));
    let reading = failure(&bomb);
    let mut reading = std::pin::pin!(reading);
    let (begun, mut longest) = (std::time::Instant::now(), Duration::ZERO);
    let error = loop {
        let before = std::time::Instant::now();
        let polled = futures::poll!(reading.as_mut());
        longest = longest.max(before.elapsed());
        if let std::task::Poll::Ready(error) = polled {
            break error;
        }
        tokio::task::yield_now().await;
    };
    assert!(error.to_string().contains("printed no ExecCredential"), "{error:?}");
    let all = begun.elapsed();
    assert!(longest < all / 2, "polled for {longest:?} of {all:?}");
}

#[tokio::test]
async fn a_plugin_that_prints_without_end_is_an_error() {
    let text = "the credential plugin \"/bin/sh\" printed more than 1048576 bytes";
    assert_no_credentials(script("exec cat /dev/zero"), text).await;
}

#[tokio::test]
async fn a_plugin_of_an_unknown_version_is_not_run() {
    let none = "a credential plugin needs an apiVersion: client.authentication.k8s.io/v1";
    let other = "the apiVersion is not supported: use client.authentication.k8s.io/v1, or v1beta1 of it";
    for (version, text) in [(None, none), (Some("client.authentication.k8s.io/v1alpha1"), other), (Some(""), none)] {
        let exec = ExecConfig { api_version: version.map(Into::into), ..script("exit 3") };
        assert_not_run(exec, "apiVersion", text).await;
    }
}

#[tokio::test]
async fn a_plugin_that_needs_a_terminal_is_not_run() {
    let exec = ExecConfig { interactive_mode: Some(ExecInteractiveMode::Always), ..script("exit 3") };
    let text = "the credential plugin needs a terminal and this program has none: set interactiveMode to Never";
    assert_not_run(exec, "interactiveMode", text).await;
    let text = "a credential plugin needs an interactiveMode: Never or IfAvailable";
    assert_not_run(ExecConfig { interactive_mode: None, ..script("exit 3") }, "interactiveMode", text).await;
    // And one that only would like one gets none, nor anything to read.
    let exec = ExecConfig { interactive_mode: Some(ExecInteractiveMode::IfAvailable), ..script("cat; exit 3") };
    assert_no_credentials(exec, "the credential plugin \"/bin/sh\" failed with exit code 3").await;
}

#[tokio::test]
async fn a_plugin_that_hangs_is_killed_and_delays_no_other() {
    let server = server("good").await;
    let directory = tempfile::tempdir().unwrap();
    let pid = directory.path().join("pid");
    let hanging = nowhere(script(&format!("echo $$ > '{}'; exec sleep 3600", pid.display())));
    let fleet = builder().connect_deadline(Duration::from_secs(2)).build();
    fleet.add_contexts(&server.kubeconfig().merge(hanging).unwrap());

    let (good, east) = (key("good"), key("east"));
    let (good, hanging) = futures::future::join(fleet.wait_connected(&good), fleet.wait_connected(&east)).await;
    good.unwrap();
    assert_eq!(hanging.unwrap_err().kind(), ConnectErrorKind::Timeout);
    fleet.remove(&east);
    let pid = std::fs::read_to_string(pid).unwrap();
    let process = Path::new("/proc").join(pid.trim());
    if Path::new("/proc/self").exists() {
        // Killed at once, and reaped by the runtime a moment later.
        holds("the plugin is gone", || !process.exists()).await;
    }
}

#[tokio::test]
async fn a_plugin_is_killed_when_its_cluster_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let started = directory.path().join("started");
    let exec = script(&format!("echo $$ > '{}.new'; mv '{0}.new' '{0}'; exec sleep 3600", started.display()));
    let fleet = builder().build();
    fleet.add_contexts(&nowhere(exec));
    holds("the plugin runs", || started.exists()).await;
    fleet.remove(key("east"));
    let error = fleet.wait_connected(&key("east")).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::NotFound);
    holds("the plugin is gone", || !process_in(&started).exists()).await;
}

/// The process whose id a plugin wrote.
fn process_in(file: &Path) -> std::path::PathBuf {
    let id = std::fs::read_to_string(file).unwrap();
    // Where there is no such directory nothing exists in it.
    Path::new("/proc").join(id.trim())
}

#[tokio::test]
async fn a_plugin_that_always_hangs_reads_the_same_each_time() {
    let fleet = builder().connect_deadline(SOON).build();
    fleet.add_contexts(&nowhere(script("exec sleep 3600")));
    for _ in 0..3 {
        let error = fleet.reconnect(&key("east")).await.unwrap_err();
        assert_eq!(error.kind(), ConnectErrorKind::Timeout);
        let expected = "cluster east: the credential plugin \"/bin/sh\" did not answer within 300ms";
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn plugins_that_hang_leave_room_for_others_to_start() {
    let server = server("good").await;
    let fleet = builder().concurrent_starts(1).build();
    for number in 0..8 {
        let hanging = clientmgr_kube::ClusterConfig::from_kubeconfig(&nowhere(script("exec sleep 3600")), "east");
        fleet.upsert(format!("hanging-{number}"), hanging);
    }
    fleet.add_contexts(&server.kubeconfig());
    fleet.wait_connected(&key("good")).await.unwrap();
}
