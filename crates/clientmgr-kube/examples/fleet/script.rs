//! The script: three API servers in this process, of which one rotates its credentials, one stops and comes back, and one
//! is replaced by another cluster.

use std::error::Error;
use std::time::Duration;

use clientmgr_fake::apiserver::{Replacement, TestServer};
use clientmgr_kube::{ClusterConfig, ClusterSnapshot, ConnectedAt, ConnectionState, Fleet, NamespacedName};
use futures::StreamExt as _;
use kube::config::Kubeconfig;
use tokio::sync::watch::Sender;

/// How long a step may take. It usually takes milliseconds.
const DEADLINE: Duration = Duration::from_secs(30);

/// Plays the script, with a pause after each step.
pub(crate) async fn play(
    fleet: &Fleet,
    headline: &Sender<&'static str>,
    pause: Duration,
) -> Result<(), Box<dyn Error>> {
    let title = |text| headline.send_modify(|headline| *headline = text);
    let [rotated, stopped, replaced] = ["rotated", "stopped", "replaced"];
    let start = |name: &'static str| TestServer::builder().name(name).start();
    let (rotating, stopping, replacing) = (start(rotated).await?, start(stopped).await?, start(replaced).await?);

    title("── three clusters connect");
    let old = rotating.issue_token("alice");
    fleet.upsert(rotated, config(&rotating.kubeconfig_for(&old)));
    fleet.upsert(stopped, config(&stopping.kubeconfig()));
    fleet.upsert(replaced, config(&replacing.kubeconfig()));
    for cluster in fleet.clusters() {
        fleet.wait_connected(&cluster).await?;
    }
    tokio::time::sleep(pause).await;

    title("── rotation: the first gets a certificate of another user; its revision stays");
    let before = revision(fleet, rotated);
    let certificate = rotating.issue_certificate("bob", Duration::from_secs(3_600))?;
    fleet.upsert(rotated, config(&rotating.kubeconfig_for(&certificate)));
    until(fleet, rotated, |snapshot| snapshot.user.as_deref() == Some("bob")).await?;
    expect(revision(fleet, rotated) == before, "a rotation changed the revision")?;
    tokio::time::sleep(pause).await;

    title("── outage: the second stops, and comes back; its revision stays");
    let before = revision(fleet, stopped);
    stopping.stop().await;
    until(fleet, stopped, |snapshot| snapshot.state == ConnectionState::Unavailable).await?;
    tokio::time::sleep(pause).await;
    stopping.start().await?;
    until(fleet, stopped, ClusterSnapshot::is_connected).await?;
    expect(revision(fleet, stopped) == before, "an outage changed the revision")?;
    tokio::time::sleep(pause).await;

    title("── replacement: another cluster answers in place of the third, with a later revision");
    let before = revision(fleet, replaced);
    replacing.replace(Replacement::SameCa)?;
    until(fleet, replaced, |snapshot| snapshot.is_connected() && snapshot.connected_at > before).await?;
    tokio::time::sleep(pause).await;

    for server in [rotating, stopping, replacing] {
        server.shutdown().await;
    }
    Ok(())
}

fn config(kubeconfig: &Kubeconfig) -> ClusterConfig {
    ClusterConfig::from_kubeconfig(kubeconfig, kubeconfig.current_context.as_deref().unwrap_or_default())
}

fn revision(fleet: &Fleet, cluster: &str) -> Option<ConnectedAt> {
    fleet.snapshot(NamespacedName::cluster_scoped(cluster))?.connected_at
}

fn expect(holds: bool, otherwise: &str) -> Result<(), Box<dyn Error>> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

/// Waits until the cluster's snapshot is as it must become.
async fn until(fleet: &Fleet, cluster: &str, reached: impl Fn(&ClusterSnapshot) -> bool) -> Result<(), Box<dyn Error>> {
    let (mut events, key) = (fleet.events(), NamespacedName::cluster_scoped(cluster));
    let waiting = async {
        while events.next().await.is_some() {
            if fleet.snapshot(&key).as_ref().is_some_and(&reached) {
                return;
            }
        }
    };
    Ok(tokio::time::timeout(DEADLINE, waiting).await?)
}
