//! Kube's client for a kubeconfig, as tests want it.

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use rustls::crypto::CryptoProvider;

use crate::{error::ClientError, pki::provider::provider};

/// A client that neither retries nor uses a proxy, so that each answer is seen.
pub(crate) async fn client(kubeconfig: Kubeconfig) -> Result<Client, ClientError> {
    ensure_crypto_provider();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| ClientError(error.into()))?;
    config.default_retry = false;
    config.proxy_url = None;
    Client::try_from(config).map_err(|error| ClientError(error.into()))
}

/// Kube builds TLS clients with the process-wide provider and panics without one.
fn ensure_crypto_provider() {
    if CryptoProvider::get_default().is_none()
        && let Ok(provider) = provider()
    {
        // Losing the race to another provider is as good.
        _ = provider.install_default();
    }
}
