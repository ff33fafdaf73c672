//! Credential plugins (`exec` in a kubeconfig), run by ourselves: once for each connection, without blocking a thread,
//! with a deadline, and killed when it passes. kube would run them three times, on the calling thread, without one.

use std::process::Stdio;

use kube::config::ExecConfig;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::exec_credential::Document;
use super::issued::Issued;
use super::process_group::{self, ProcessGroup};
use crate::error::{Failure, PluginError};
use crate::work::{BlockingWorker, Deadline};

/// What is read at most of what a plugin prints.
const OUTPUT_LIMIT: u64 = 1024 * 1024;

/// The versions of the protocol that a plugin may speak.
pub(crate) const EXEC_VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

/// Runs a plugin whose configuration passed the checks. What it prints is read by `worker` where that may take long.
///
/// # Cancel safety
///
/// Dropping the future kills the plugin, and on Unix what it started.
pub(crate) async fn run(
    exec: &ExecConfig,
    deadline: impl Into<Deadline>,
    worker: &BlockingWorker,
) -> Result<Issued, Failure> {
    let deadline = deadline.into();
    let name = exec.command.as_deref().unwrap_or_default();
    let timed_out = || PluginError::TimedOut { command: name.to_owned(), deadline: deadline.limit() };
    let printed = tokio::time::timeout(deadline.left(), output(exec, name)).await.map_err(|_| timed_out())??;
    let document = match Document::from_json(&printed) {
        Some(document) => Some(document),
        None => match apart(worker, deadline, move || Document::from_yaml(&printed)).await {
            Err(Failure::BlockingHangs { .. }) => return Err(timed_out().into()),
            read => read?,
        },
    };
    let document = document.ok_or_else(|| PluginError::NoCredential { command: name.to_owned() })?;
    Ok(document.into_issued(name, exec.api_version.as_deref())?)
}

/// Reads on the member's worker: a piece of work that ends by itself, if late. What its reader panics at is no document.
async fn apart<T: Send + 'static>(
    worker: &BlockingWorker,
    deadline: Deadline,
    read: impl FnOnce() -> Option<T> + Send + 'static,
) -> Result<Option<T>, Failure> {
    match worker.run(deadline, read).await {
        Err(Failure::BlockingPanicked) => Ok(None),
        read => read,
    }
}

async fn output(exec: &ExecConfig, name: &str) -> Result<Vec<u8>, PluginError> {
    // Before it has started this may be a whole line of a shell, whose arguments may be secret.
    let named = || first_word(name).to_owned();
    let not_started = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound if named() != name => PluginError::CommandLine { command: named() },
        std::io::ErrorKind::NotFound => PluginError::NotInstalled { command: named() },
        _ => PluginError::NotStarted { command: named(), source: source.into() },
    };
    let mut command = command(exec, name);
    process_group::lead(&mut command);
    let mut child = command.spawn().map_err(not_started)?;
    // Dropped before the child is: its id is not another's then.
    let group = ProcessGroup::of(&child);
    let named = || name.to_owned();
    let mut printed = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(OUTPUT_LIMIT + 1).read_to_end(&mut printed).await.map_err(not_started)?;
    }
    if printed.len() as u64 > OUTPUT_LIMIT {
        return Err(PluginError::TooMuchOutput { command: named(), limit: OUTPUT_LIMIT });
    }
    let status = child.wait().await.map_err(not_started)?;
    // What a plugin leaves running once it is done is its own business.
    group.release();
    if !status.success() {
        return Err(PluginError::Failed { command: named(), code: status.code() });
    }
    Ok(printed)
}

fn first_word(line: &str) -> &str {
    line.split(|it: char| it.is_whitespace() || it.is_control()).find(|word| !word.is_empty()).unwrap_or_default()
}

fn command(exec: &ExecConfig, name: &str) -> Command {
    let mut command = Command::new(name);
    command.args(exec.args.iter().flatten());
    for variable in exec.env.iter().flatten() {
        if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
            command.env(name, value);
        }
    }
    let mut spec = json!({ "interactive": false });
    if let (true, Some(cluster)) = (exec.provide_cluster_info, &exec.cluster) {
        spec["cluster"] = json!(cluster);
    }
    let info = json!({ "apiVersion": exec.api_version, "kind": "ExecCredential", "spec": spec });
    command.env("KUBERNETES_EXEC_INFO", info.to_string());
    for variable in exec.drop_env.iter().flatten() {
        command.env_remove(variable);
    }
    // What a plugin says on its way may hold a credential, so it goes nowhere.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    command
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::config::ExecConfig;
    use tokio::io::AsyncReadExt;

    use super::{BlockingWorker, Deadline, apart, run};
    use crate::error::{Failure, PluginError};

    /// Reading from a pipe ends when every writer is gone.
    #[cfg(unix)]
    #[tokio::test]
    async fn a_plugin_that_hangs_is_killed_with_what_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        let script = format!("(exec 3>{pipe:?}; echo up >&3; exec sleep 600) & wait");
        let exec = ExecConfig {
            api_version: Some(super::EXEC_VERSIONS[0].to_owned()),
            command: Some("sh".to_owned()),
            args: Some(vec!["-c".to_owned(), script]),
            ..ExecConfig::default()
        };
        let mut reader = tokio::net::unix::pipe::OpenOptions::new().open_receiver(&pipe).unwrap();
        let worker = BlockingWorker::new();
        let (outcome, up) = tokio::join!(run(&exec, Duration::from_secs(1), &worker), async {
            reader.readable().await.unwrap();
            let mut said = [0; 3];
            reader.read_exact(&mut said).await.unwrap();
            said
        });
        assert!(matches!(outcome, Err(Failure::Plugin(PluginError::TimedOut { .. }))));
        assert_eq!(up, *b"up\n", "the grandchild ran");
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(20), reader.read_to_end(&mut rest)).await;
        assert_eq!(ended.expect("the grandchild lives on").unwrap(), 0);
    }

    #[tokio::test]
    async fn what_its_reader_panics_at_is_no_document() {
        let deadline = Deadline::within(Duration::from_secs(20));
        let read =
            apart::<()>(&BlockingWorker::new(), deadline, || std::panic::resume_unwind(Box::new("on purpose"))).await;
        assert!(matches!(read, Ok(None)), "{read:?}");
    }
}
