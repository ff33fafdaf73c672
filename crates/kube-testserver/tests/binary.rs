//! The server as a program: started, seeded, used and ended by a signal.
#![cfg(unix)]

use std::{
    error::Error,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api, Client, Config,
    api::{ApiResource, DynamicObject},
    config::{KubeConfigOptions, Kubeconfig},
};

const SEED: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: seeded}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: greeting, namespace: seeded}
data: {hello: world}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: first}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: read, resourceVersion: '7', uid: u, creationTimestamp: '2020-01-02T03:04:05Z', generation: 3}
  spec: {containers: [{name: c, image: i}]}
  status: {phase: Running}
---
apiVersion: v1
kind: ConfigMapList
items: [{metadata: {name: of-a-typed-list}}]
";

async fn client_of(kubeconfig: &Path) -> Result<Client, Box<dyn Error>> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    Ok(Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)?)
}

#[tokio::test]
async fn the_program_serves_its_seed_until_a_signal_ends_it() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let (kubeconfig, seed) = (directory.path().join("kubeconfig"), directory.path().join("seed.yaml"));
    std::fs::write(&seed, SEED)?;
    std::fs::write(&kubeconfig, "")?;
    std::fs::set_permissions(&kubeconfig, std::fs::Permissions::from_mode(0o644))?;
    let mut program = Command::new(env!("CARGO_BIN_EXE_kube-testserver"))
        .arg("--kubeconfig")
        .arg(&kubeconfig)
        .arg("--seed")
        .arg(&seed)
        .args(["--name", "mine"])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut url = String::new();
    BufReader::new(program.stdout.take().ok_or("an output")?).read_line(&mut url)?;
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");

    // Installs the crypto provider of this process.
    kube_testserver::TestServer::start_default().await?.client().await?;
    assert_eq!(Kubeconfig::read_from(&kubeconfig)?.current_context.as_deref(), Some("mine"));
    let client = client_of(&kubeconfig).await?;
    let map = Api::<ConfigMap>::namespaced(client.clone(), "seeded").get("greeting").await?;
    assert_eq!(map.data.ok_or("data")?["hello"], "world");
    let widgets = ApiResource {
        group: "example.com".into(),
        version: "v1".into(),
        api_version: "example.com/v1".into(),
        kind: "Widget".into(),
        plural: "widgets".into(),
    };
    Api::<DynamicObject>::default_namespaced_with(client.clone(), &widgets).get("first").await?;
    let pod = Api::<Pod>::default_namespaced(client.clone()).get("read").await?;
    assert_eq!(pod.status.and_then(|status| status.phase).as_deref(), Some("Running"));
    Api::<ConfigMap>::default_namespaced(client.clone()).get("of-a-typed-list").await?;
    assert_eq!(
        std::fs::metadata(&kubeconfig)?.permissions().mode() & 0o777,
        0o600,
        "it replaced one that all may read"
    );

    let before = std::fs::read_to_string(&kubeconfig)?;
    assert!(Command::new("kill").args(["-HUP", &program.id().to_string()]).status()?.success());
    let rewritten = async {
        let mut rounds = tokio::time::interval(Duration::from_millis(20));
        while std::fs::read_to_string(&kubeconfig).is_ok_and(|now| now == before) {
            rounds.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), rewritten).await?;
    let refused = client.apiserver_version().await;
    assert!(matches!(&refused, Err(kube::Error::Api(status)) if status.code == 401), "the old token: {refused:?}");
    client_of(&kubeconfig).await?.apiserver_version().await?;

    assert!(Command::new("kill").arg(program.id().to_string()).status()?.success());
    assert!(program.wait()?.success(), "SIGTERM is a regular end");
    Ok(())
}

#[test]
fn a_command_line_that_is_not_understood_exits_with_two_and_the_usage() -> Result<(), Box<dyn Error>> {
    let output = Command::new(env!("CARGO_BIN_EXE_kube-testserver")).arg("--verbose").output()?;
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr)?.contains("usage: kube-testserver --kubeconfig PATH"));
    Ok(())
}
