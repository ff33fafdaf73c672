//! What happens when the programs go wrong: shell scripts stand for them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::Outcome;
use crate::{
    access::credential::{Credential, User},
    real::{
        certificates::Pki,
        command::{ApiServerPlan, EtcdPlan},
        real_error::RealError,
        server::{Patience, RealServer, client_of, start_apiserver, start_etcd},
    },
};

/// Long enough for a script to write a line, and no longer.
const SHORT: Patience = Patience { etcd: Duration::from_millis(700), apiserver: Duration::from_millis(700) };
/// Never waited for to the end: the scripts end first.
const LONG: Patience = Patience { etcd: Duration::from_secs(60), apiserver: Duration::from_secs(60) };
/// Tells its process id and stays.
const STAYS: &str = "echo $$ > pid; echo still thinking >&2; exec sleep 600";

struct Assets(tempfile::TempDir);

impl Assets {
    fn new(etcd: &str, apiserver: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let assets = Self(tempfile::tempdir()?);
        assets.script("etcd", etcd)?;
        assets.script("kube-apiserver", apiserver)?;
        Ok(assets)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Written by another process: a file that this one writes could not be run while a sibling test starts a program,
    /// which holds all open files for a moment.
    fn script(&self, name: &str, text: &str) -> Outcome {
        let path = self.path().join(name);
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod 755 "$2""#;
        let status = Command::new("sh").args(["-c", write, "sh", text]).arg(&path).status()?;
        if status.success() { Ok(()) } else { Err("the script was not written".into()) }
    }
}

/// Whether a process with the id in this file runs.
fn runs(pid_file: PathBuf) -> bool {
    let pid = std::fs::read_to_string(pid_file).expect("the script wrote its process id");
    let status = Command::new("kill").args(["-0", pid.trim()]).stderr(Stdio::null()).status();
    status.expect("kill is there").success()
}

fn etcd_plan(directory: &Path) -> EtcdPlan {
    // Nothing listens on port 1.
    EtcdPlan { directory: directory.to_owned(), client_port: 1, peer_port: 1 }
}

#[tokio::test]
async fn a_directory_without_a_program_is_an_error() -> Outcome {
    let assets = Assets::new("exit 0", "exit 0")?;
    std::fs::remove_file(assets.path().join("kube-apiserver"))?;
    let error = RealServer::builder(assets.path()).start().await.err().ok_or("an error")?;
    assert!(matches!(error, RealError::Missing { program: "kube-apiserver", .. }), "{error}");
    assert!(error.to_string().contains(&assets.path().display().to_string()), "{error}");
    Ok(())
}

#[tokio::test]
async fn an_error_of_an_etcd_that_ends_has_the_end_of_its_output() -> Outcome {
    let assets = Assets::new("echo no space left >&2; exit 3", "exit 0")?;
    let error = RealServer::builder(assets.path()).patience(LONG).start().await.err().ok_or("an error")?;
    assert!(matches!(&error, RealError::Exited { program: "etcd", status, .. } if status.code() == Some(3)), "{error}");
    assert!(error.to_string().contains("no space left"), "{error}");
    Ok(())
}

#[tokio::test]
async fn an_etcd_that_is_never_healthy_is_an_error_and_is_killed() -> Outcome {
    let assets = Assets::new(STAYS, "exit 0")?;
    let files = tempfile::tempdir()?;
    let error = start_etcd(assets.path(), &etcd_plan(files.path()), SHORT).await.err().ok_or("an error")?;
    assert!(matches!(&error, RealError::NotReady { program: "etcd", .. }), "{error}");
    assert!(error.to_string().contains("still thinking"), "{error}");
    assert!(!runs(files.path().join("pid")));
    Ok(())
}

#[tokio::test]
async fn a_port_that_is_taken_is_tried_again_on_another() -> Outcome {
    let assets = Assets::new("exit 0", "exit 0")?;
    let tries = assets.path().join("tries");
    let script = format!(
        "echo \"$@\" >> '{}'; echo 'listen tcp 127.0.0.1: bind: address already in use' >&2; exit 1",
        tries.display()
    );
    assets.script("etcd", &script)?;
    let error = RealServer::builder(assets.path()).patience(LONG).start().await.err().ok_or("an error")?;
    assert!(matches!(&error, RealError::Exited { program: "etcd", .. }), "{error}");
    let tried = std::fs::read_to_string(tries)?;
    assert_eq!(tried.lines().count(), 3);
    let mut lines: Vec<&str> = tried.lines().collect();
    lines.dedup();
    assert_eq!(lines.len(), 3, "on other ports each time");
    Ok(())
}

async fn start_server(
    assets: &Assets,
    directory: &Path,
    patience: Patience,
) -> Result<RealError, Box<dyn std::error::Error>> {
    let plan = ApiServerPlan { directory: directory.to_owned(), etcd_port: 1, port: 1 };
    let Pki { ca_pem, admin, .. } = Pki::new("admin", "system:masters")?;
    let admin = client_of(1, &ca_pem, &Credential::from_certificate(User::new("admin"), admin)).await?;
    Ok(start_apiserver(assets.path(), &plan, patience, &admin).await.err().ok_or("an error")?)
}

#[tokio::test]
async fn an_error_of_a_server_that_ends_has_the_end_of_its_output() -> Outcome {
    let assets = Assets::new("exit 0", "echo \"unknown flag in $*\" >&2; exit 1")?;
    let files = tempfile::tempdir()?;
    let error = start_server(&assets, files.path(), LONG).await?;
    assert!(matches!(&error, RealError::Exited { program: "kube-apiserver", .. }), "{error}");
    assert!(error.to_string().contains("--authorization-mode=RBAC"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_never_ready_is_an_error_and_is_killed() -> Outcome {
    let assets = Assets::new("exit 0", STAYS)?;
    let files = tempfile::tempdir()?;
    let error = start_server(&assets, files.path(), SHORT).await?;
    assert!(matches!(&error, RealError::NotReady { program: "kube-apiserver", .. }), "{error}");
    assert!(!runs(files.path().join("pid")));
    Ok(())
}

#[tokio::test]
async fn a_program_that_cannot_be_run_is_an_error() -> Outcome {
    let assets = Assets::new("exit 0", "exit 0")?;
    let status = Command::new("chmod").arg("644").arg(assets.path().join("etcd")).status()?;
    assert!(status.success());
    let error = RealServer::builder(assets.path()).start().await.err().ok_or("an error")?;
    assert!(matches!(error, RealError::NotStarted { program: "etcd", .. }), "{error}");
    Ok(())
}

#[tokio::test]
async fn an_error_has_only_the_end_of_a_long_output() -> Outcome {
    let assets = Assets::new("i=0; while [ $i -lt 500 ]; do i=$((i+1)); echo line $i; done; exit 1", "exit 0")?;
    let error = RealServer::builder(assets.path()).start().await.err().ok_or("an error")?.to_string();
    assert!(error.contains("line 500") && !error.contains("line 400"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_dropped_process_is_gone() -> Outcome {
    // Healthy because the test is: it answers in the place of the script.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let client_port = listener.local_addr()?.port();
    let answer = async {
        use tokio::io::AsyncWriteExt as _;
        loop {
            let (mut stream, _) = listener.accept().await.expect("it listens");
            _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"health\":\"true\"}").await;
        }
    };
    let assets = Assets::new(STAYS, "exit 0")?;
    let files = tempfile::tempdir()?;
    let plan = EtcdPlan { client_port, ..etcd_plan(files.path()) };
    let etcd = tokio::select! {
        etcd = start_etcd(assets.path(), &plan, LONG) => etcd?,
        never = answer => never,
    };
    let pid = files.path().join("pid");
    // The script may be slower than the answer.
    let mut rounds = tokio::time::interval(Duration::from_millis(10));
    while std::fs::read_to_string(&pid).unwrap_or_default().trim().is_empty() {
        rounds.tick().await;
    }
    assert!(runs(pid.clone()));
    drop(etcd);
    assert!(!runs(pid));
    Ok(())
}
