//! The binary's `main`.

use std::error::Error;

use clientmgr_kube::Fleet;
use kube::Client;

use super::controller::run;
use super::status::publish;

#[expect(clippy::disallowed_methods, reason = "the hub is the kubeconfig's current context, as for kubectl")]
#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Client::try_default().await?;
    let fleet = Fleet::from_kubeconfig()?;
    let publishing = tokio::spawn(publish(hub.clone(), fleet.clone()));
    run(hub, fleet.clone().into(), async { drop(tokio::signal::ctrl_c().await) }).await;
    publishing.abort();
    fleet.shutdown().await;
    Ok(())
}
