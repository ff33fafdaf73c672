//! A live table of every context of a kubeconfig: state, version, user, identity, latency, expiry, last error.
//!
//! - `cargo run --example fleet`: three API servers in this process, with a scripted rotation, outage and replacement
//! - `cargo run --example fleet -- --kubeconfig PATH`: your clusters, until Ctrl-C
//! - `cargo run --example fleet -- --once`: the kubeconfig that kubectl would use; prints the table once, and exits 1 if
//!   any context failed. With `--kubeconfig`: that file.

mod script;
mod table;

use std::error::Error;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clientmgr_kube::{ClusterSnapshot, Fleet, read_kubeconfig, read_kubeconfig_from};
use futures::StreamExt as _;
use futures::future::join_all;
use tokio::sync::watch;

const USAGE: &str = "usage: cargo run --example fleet [-- [--kubeconfig PATH] [--once]]";

/// Between two redraws, so that a busy fleet does not flood the terminal.
const REDRAW: Duration = Duration::from_millis(200);

#[derive(Debug, Default, PartialEq)]
struct Arguments {
    kubeconfig: Option<PathBuf>,
    once: bool,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut parsed = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--kubeconfig" => parsed.kubeconfig = Some(arguments.next()?.into()),
                "--once" => parsed.once = true,
                _ => return None,
            }
        }
        Some(parsed)
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let Some(Arguments { kubeconfig, once }) = Arguments::parse(std::env::args().skip(1)) else {
        print(USAGE);
        return Ok(ExitCode::from(2));
    };
    let (fleet, headline) = (Fleet::new(), watch::Sender::new("──"));
    match kubeconfig {
        Some(path) => fleet.add_contexts(&read_kubeconfig_from(&path)?),
        None if once => fleet.add_contexts(&read_kubeconfig()?),
        None => {
            // Time to read, on a terminal.
            let pause = if std::io::stdout().is_terminal() { Duration::from_secs(4) } else { Duration::ZERO };
            tokio::select! {
                () = show(&fleet, &headline) => {}
                played = script::play(&fleet, &headline, pause) => played?,
            }
            print(&table::render(&fleet.snapshots()));
            fleet.shutdown().await;
            return Ok(ExitCode::SUCCESS);
        }
    }
    if once {
        let clusters = fleet.clusters();
        // What failed is in the snapshots. The probe brings the user and the version.
        join_all(clusters.iter().map(async |cluster| {
            fleet.wait_connected(cluster).await?;
            fleet.probe(cluster).await
        }))
        .await;
        let snapshots = fleet.snapshots();
        print(&table::render(&snapshots));
        let all_connected = snapshots.iter().all(ClusterSnapshot::is_connected);
        return Ok(if all_connected { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    tokio::select! {
        () = show(&fleet, &headline) => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    fleet.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

/// Prints the table after each change. On a terminal in place of the last one, and every second, as times pass.
async fn show(fleet: &Fleet, headline: &watch::Sender<&'static str>) {
    let is_terminal = std::io::stdout().is_terminal();
    let (mut events, mut seconds) = (fleet.events(), tokio::time::interval(Duration::from_secs(1)));
    loop {
        tokio::select! {
            changes = events.next() => if changes.is_none() { return },
            _ = seconds.tick(), if is_terminal => {}
        }
        // Clear the terminal, and start at its top.
        let place = if is_terminal { "\x1b[2J\x1b[H" } else { "" };
        print(&format!("{place}{}\n{}", *headline.borrow(), table::render(&fleet.snapshots())));
        tokio::time::sleep(REDRAW).await;
    }
}

#[expect(clippy::print_stdout, reason = "the example prints a table")]
fn print(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::watch::Sender;

    use super::Arguments;

    #[test]
    fn arguments_choose_the_clusters() {
        let parse = |line: &str| Arguments::parse(line.split_whitespace().map(str::to_owned));
        assert_eq!(parse(""), Some(Arguments::default()));
        assert_eq!(parse("--once"), Some(Arguments { kubeconfig: None, once: true }));
        assert_eq!(parse("--kubeconfig a --once"), Some(Arguments { kubeconfig: Some("a".into()), once: true }));
        assert_eq!(parse("--kubeconfig"), None);
        assert_eq!(parse("--often"), None);
    }

    #[tokio::test]
    async fn the_script_plays_to_its_end() {
        let fleet = clientmgr_kube::Fleet::new();
        super::script::play(&fleet, &Sender::new(""), Duration::ZERO).await.unwrap();
        fleet.shutdown().await;
    }
}
