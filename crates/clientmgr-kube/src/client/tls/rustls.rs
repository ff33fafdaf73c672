//! TLS by rustls. One configuration serves every transport with the same authorities and client certificate, and the
//! system's authorities are loaded once per process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use http::Uri;
use hyper_rustls::{DefaultServerNameResolver, FixedServerNameResolver, HttpsConnector, ResolveServerName};
use kube::Config;
use kube::client::ConfigExt;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;

use super::fingerprint::{Offer, TlsFingerprint, fingerprint};
use super::sessions::Sessions;
use crate::config::translate;
use crate::error::{ConfigError, Failure};

/// The configurations that transports use. At most as many entries again are of those that no transport uses any more.
#[derive(Default)]
pub(crate) struct TlsCache(Mutex<HashMap<TlsFingerprint, Weak<Shared>>>);

struct Shared {
    http2: Arc<ClientConfig>,
    /// Made for the first connection by HTTP/1.1.
    http1: OnceLock<Arc<ClientConfig>>,
}

impl Shared {
    fn new(mut config: ClientConfig) -> Self {
        config.resumption = Resumption::store(Arc::new(Sessions::default()));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self { http2: Arc::new(config), http1: OnceLock::new() }
    }

    fn offering(&self, offer: Offer) -> &Arc<ClientConfig> {
        match offer {
            Offer::Http2 => &self.http2,
            Offer::Http1 => self.http1.get_or_init(|| {
                let mut config = ClientConfig::clone(&self.http2);
                config.alpn_protocols.clear();
                Arc::new(config)
            }),
        }
    }
}

/// The TLS of one transport.
#[derive(Clone)]
pub(crate) struct Tls {
    shared: Arc<Shared>,
    server_name: Arc<dyn ResolveServerName + Send + Sync>,
}

/// Makes TLS connections through another connector.
pub(crate) struct TlsConnector<H> {
    tls: Tls,
    inner: H,
}

impl TlsCache {
    fn load(&self, config: &Config) -> Result<Arc<Shared>, Failure> {
        let key = fingerprint(config);
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = entries.get(&key).and_then(Weak::upgrade) {
            return Ok(shared);
        }
        drop(entries);
        // Without the lock: the system's authorities are read from files.
        let shared = Arc::new(Shared::new(client_config(config)?));
        entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Now and then: a sweep for each new one would cost more the more there are.
        if entries.len().is_power_of_two() {
            entries.retain(|_, shared| shared.strong_count() > 0);
        }
        // Another transport may have loaded the same meanwhile.
        if let Some(shared) = entries.get(&key).and_then(Weak::upgrade) {
            return Ok(shared);
        }
        entries.insert(key, Arc::downgrade(&shared));
        Ok(shared)
    }
}

#[cfg(test)]
impl TlsCache {
    /// How many configurations transports use.
    pub(crate) fn in_use(&self) -> usize {
        self.0.lock().unwrap().values().filter(|shared| shared.strong_count() > 0).count()
    }
}

impl Tls {
    /// Reads the system's authorities the first time that they are needed, so this may block.
    pub(crate) fn new(config: &Config, cache: &TlsCache) -> Result<Self, Failure> {
        require_cryptography()?;
        let server_name: Arc<dyn ResolveServerName + Send + Sync> = match &config.tls_server_name {
            None => Arc::new(DefaultServerNameResolver::default()),
            Some(name) => {
                let name = ServerName::try_from(name.clone()).map_err(|_| ConfigError::TlsServerName)?;
                Arc::new(FixedServerNameResolver::new(name))
            }
        };
        Ok(Self { shared: cache.load(config)?, server_name })
    }

    /// A connector that speaks TLS through `inner` where the scheme is https.
    #[expect(clippy::unnecessary_wraps, reason = "the other TLS stack can fail here")]
    pub(crate) fn connector<H>(&self, inner: H) -> Result<TlsConnector<H>, Failure> {
        Ok(TlsConnector { tls: self.clone(), inner })
    }
}

impl<H: Clone> TlsConnector<H> {
    /// The connector that offers `offer`.
    pub(crate) fn offering(&self, offer: Offer) -> HttpsConnector<H> {
        let config = Arc::clone(self.tls.shared.offering(offer));
        HttpsConnector::new(self.inner.clone(), config, false, Arc::clone(&self.tls.server_name))
    }
}

/// Without a process-wide provider of cryptography rustls panics. Installs one where a feature names it and the program
/// has none.
fn require_cryptography() -> Result<(), Failure> {
    if CryptoProvider::get_default().is_none() {
        // Fails only if another one was installed just now, which will do as well.
        #[cfg(feature = "aws-lc-rs")]
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    CryptoProvider::get_default().map(|_| ()).ok_or(Failure::NoCryptoProvider)
}

fn client_config(config: &Config) -> Result<ClientConfig, Failure> {
    if config.root_cert.is_some() || config.root_cert_file.is_some() || config.accept_invalid_certs {
        return config.rustls_client_config().map_err(translate::building);
    }
    let mut trusting = system_trust()?.clone();
    if config.auth_info.client_certificate.is_some() || config.auth_info.client_certificate_data.is_some() {
        // The certificate alone, from a configuration that trusts nobody and so loads nothing.
        let mut identity = config.clone();
        identity.root_cert = Some(Vec::new());
        let identity = identity.rustls_client_config().map_err(translate::building)?;
        trusting.client_auth_cert_resolver = identity.client_auth_cert_resolver;
    }
    Ok(trusting)
}

/// A configuration that trusts the system's authorities. An error is not kept: the next one may find them.
fn system_trust() -> Result<&'static ClientConfig, Failure> {
    static TRUST: OnceLock<ClientConfig> = OnceLock::new();
    if let Some(trust) = TRUST.get() {
        return Ok(trust);
    }
    let loaded = Config::new(Uri::from_static("https://kubernetes")).rustls_client_config();
    let loaded = loaded.map_err(translate::building)?;
    Ok(TRUST.get_or_init(|| loaded))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kube::Config;

    use super::{Offer, Tls, TlsCache};

    fn config() -> Config {
        let mut config = Config::new("https://127.0.0.1:1".parse().unwrap());
        config.root_cert = Some(vec![]);
        config
    }

    #[test]
    fn transports_with_the_same_trust_and_identity_share_one_configuration() {
        let cache = TlsCache::default();
        let first = Tls::new(&config(), &cache).unwrap();
        let second = Tls::new(&config(), &cache).unwrap();
        assert!(Arc::ptr_eq(&first.shared, &second.shared));

        let mut other = config();
        other.accept_invalid_certs = true;
        let other = Tls::new(&other, &cache).unwrap();
        assert!(!Arc::ptr_eq(&first.shared, &other.shared));
        assert_eq!(cache.0.lock().unwrap().len(), 2);
    }

    #[test]
    fn a_configuration_is_shared_again_after_its_last_transport_went() {
        let cache = TlsCache::default();
        let names = ["a", "b"].map(|name| {
            let mut other = config();
            other.root_cert = Some(vec![name.as_bytes().to_vec()]);
            other.accept_invalid_certs = true;
            Tls::new(&other, &cache)
        });
        drop(Tls::new(&config(), &cache).unwrap());
        let first = Tls::new(&config(), &cache).unwrap();
        assert!(Arc::ptr_eq(&first.shared, &Tls::new(&config(), &cache).unwrap().shared));
        drop(names);
    }

    #[test]
    fn a_configuration_goes_with_its_last_transport() {
        let cache = TlsCache::default();
        drop(Tls::new(&config(), &cache).unwrap());
        let mut other = config();
        other.accept_invalid_certs = true;
        let kept = Tls::new(&other, &cache).unwrap();
        assert_eq!(cache.0.lock().unwrap().len(), 1);
        drop(kept);
    }

    #[test]
    fn the_systems_authorities_are_loaded_once() {
        let first = super::system_trust().unwrap();
        assert!(std::ptr::eq(first, super::system_trust().unwrap()));
    }

    #[test]
    fn http2_is_offered_only_where_it_is_wanted() {
        let tls = Tls::new(&config(), &TlsCache::default()).unwrap();
        assert_eq!(tls.shared.offering(Offer::Http1).alpn_protocols, Vec::<Vec<u8>>::new());
        assert_eq!(tls.shared.offering(Offer::Http2).alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    }
}
