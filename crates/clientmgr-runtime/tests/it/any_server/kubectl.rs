//! The Cluster resource as kubectl shows it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::fixture::{Connected, Remote, connected, hub};
use crate::controller::fixture::by_secret;

/// Names a kubectl; by default the one in `PATH`.
const KUBECTL: &str = "CLIENTMGR_KUBECTL";

fn kubectl() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(KUBECTL) {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join("kubectl")).find(|path| path.is_file())
}

/// Runs kubectl and returns what it prints.
async fn run(kubectl: PathBuf, kubeconfig: PathBuf, arguments: &'static [&'static str]) -> String {
    let running = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(kubectl);
        command.args(arguments).args(["--namespace", "default", "--request-timeout", "30s", "--kubeconfig"]);
        command.arg(&kubeconfig).env("HOME", kubeconfig.parent().unwrap()).stdin(Stdio::null()).output()
    });
    let output = running.await.unwrap().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_of_clusters_shows_what_matters_first() {
    let Connected { hub, remote: _remote, running, east } = connected().await;
    let status = east.status.unwrap();
    let request = http::Request::get("/apis/clientmgr.dev/v1alpha1/namespaces/default/clusters")
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .unwrap();
    let table: Value = hub.client.request(request).await.unwrap();
    let names: Vec<_> = table["columnDefinitions"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names[..6], ["Name", "Ready", "Reason", "Version", "Connected", "Age"]);
    let cells = &table["rows"][0]["cells"];
    assert_eq!((&cells[0], &cells[1], &cells[2]), (&json!("east"), &json!("True"), &json!("Ready")), "{cells}");
    assert_eq!(cells[3], json!(status.version));
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_get_clusters_reads_well() {
    let Some(kubectl) = kubectl() else {
        // `print_stderr` is for the library. A test that does not run says so.
        writeln!(std::io::stderr(), "not run: there is no kubectl in PATH, and {KUBECTL} names none").unwrap();
        return;
    };
    let hub = hub().await;
    let remote = Remote::to(&hub.server).await;
    let running = hub.run(|settings| settings);
    hub.declare_remote("east", &remote).await;
    hub.create("west", by_secret("west")).await;
    let version = hub.until_ready("east").await.status.unwrap().version.unwrap();
    hub.until("west", |it| it.status.is_some()).await;

    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    std::fs::write(&kubeconfig, serde_json::to_string(&hub.server.kubeconfig()).unwrap()).unwrap();
    for name in ["clusters", "cluster", "cmc", "clientmgr", "clusters.clientmgr.dev"] {
        let arguments: &'static [&'static str] = match name {
            "clusters" => &["get", "clusters"],
            "cluster" => &["get", "cluster"],
            "cmc" => &["get", "cmc"],
            "clientmgr" => &["get", "clientmgr"],
            _ => &["get", "clusters.clientmgr.dev"],
        };
        let shown = run(kubectl.clone(), kubeconfig.clone(), arguments).await;
        let lines: Vec<_> = shown.lines().map(words).collect();
        assert_eq!(lines[0], ["NAME", "READY", "REASON", "VERSION", "CONNECTED", "AGE"], "{shown}");
        assert_eq!(lines[1][..4], ["east", "True", "Ready", &version], "{shown}");
        assert_eq!(lines[2][..3], ["west", "False", "SecretNotFound"], "{shown}");
    }
    let wide = run(kubectl.clone(), kubeconfig.clone(), &["get", "clusters", "--output", "wide"]).await;
    assert_eq!(words(wide.lines().next().unwrap())[6..], ["PAUSED", "IDENTITY", "EXPIRES", "ERROR"], "{wide}");
    assert!(wide.contains(&remote.identity().await), "{wide}");
    assert!(wide.contains("secret default/west does not exist"), "{wide}");
    let waited =
        run(kubectl, kubeconfig, &["wait", "clusters/east", "--for", "condition=Ready", "--timeout=30s"]).await;
    assert!(waited.contains("condition met"), "{waited}");
    running.kill().await;
}
