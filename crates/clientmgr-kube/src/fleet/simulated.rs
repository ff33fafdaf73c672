//! A fleet of clusters that no server stands behind: for benches with more clusters than a machine has sockets for. All of
//! a fleet runs as ever; only the network is not there.

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use clientmgr_core::async_trait;
use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

use super::builder::FleetBuilder;
use super::connector::{Connector, Established, Opening};
use super::handle::Fleet;
use crate::client::Transport;
use crate::config::{ClusterConfig, ClusterIdentity, load};
use crate::error::Failure;
use crate::probe::{self, Extent};

/// An answer is there at once.
const DEADLINE: Duration = Duration::from_secs(10);

/// Builds a fleet that finds a healthy cluster wherever a configuration leads: one cluster for each host.
pub fn fleet(builder: FleetBuilder) -> Fleet {
    builder.build_on(|_, _| Box::new(Simulated))
}

struct Simulated;

#[async_trait]
impl Connector for Simulated {
    async fn open(&self, opening: Opening) -> Result<Established, Failure> {
        let (transport, address) = connect(&opening.config)?;
        let verified = probe::prove(&transport, &address, Extent::Proof, DEADLINE).await?;
        Ok(Established { transport, verified, address, expiry: None, renewal_pause: None })
    }

    fn request_deadline(&self) -> Duration {
        DEADLINE
    }
}

fn connect(config: &ClusterConfig) -> Result<(Transport, ClusterIdentity), Failure> {
    let url = load(config)?.config.cluster_url;
    let address = ClusterIdentity::by_address(&url, None);
    let uid = url.host().unwrap_or_default().to_owned();
    let service = service_fn(move |request: Request<Body>| {
        let body = Body::from(answer(request.uri().path(), &uid).to_string().into_bytes());
        ready(Ok::<_, Infallible>(Response::new(body)))
    });
    Ok((Transport::from_service(service)?, address))
}

fn answer(path: &str, uid: &str) -> Value {
    match path {
        "/api/v1/namespaces/kube-system" => {
            json!({ "kind": "Namespace", "metadata": { "name": "kube-system", "uid": uid } })
        }
        "/version" => json!({ "gitVersion": "v1.36.0" }),
        _ => json!({ "status": { "userInfo": { "username": "simulated" } } }),
    }
}

#[cfg(test)]
mod tests {
    use kube::Config;

    use super::fleet;
    use crate::{Fleet, NamespacedName};

    #[tokio::test]
    async fn each_host_is_a_healthy_cluster_of_its_own() {
        let fleet = fleet(Fleet::builder());
        for host in ["east", "west"] {
            let cluster = NamespacedName::from(host);
            fleet.upsert(cluster.clone(), Config::new(format!("https://{host}").parse().unwrap()));
            fleet.wait_connected(&cluster).await.unwrap();
            fleet.probe(&cluster).await.unwrap();
            let snapshot = fleet.snapshot(&cluster).unwrap();
            assert_eq!(snapshot.identity.unwrap().to_string(), host);
            assert_eq!((snapshot.user.as_deref(), snapshot.version.as_deref()), (Some("simulated"), Some("v1.36.0")));
        }
        fleet.shutdown().await;
    }
}
