//! The binary's `main`.

use std::error::Error;
use std::time::Duration;

use clientmgr_kube::{Fleet, read_kubeconfig};
use kube::Client;

use super::controller::run;
use super::keeper::keep_connected;

#[expect(clippy::disallowed_methods, reason = "the hub is the kubeconfig's current context, as for kubectl")]
#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Client::try_default().await?;
    let fleet = Fleet::builder().build();
    fleet.add_contexts(&read_kubeconfig()?);
    let keeper = tokio::spawn(keep_connected(hub.clone(), fleet.clone(), Duration::from_secs(10)));
    run(hub, fleet.into(), async { drop(tokio::signal::ctrl_c().await) }).await;
    keeper.abort();
    Ok(())
}
