//! No TLS: servers at http only.

use http::Uri;
use kube::Config;

use super::fingerprint::Offer;
use crate::error::Failure;

/// Nothing to share.
#[derive(Default)]
pub(crate) struct TlsCache;

/// Stands for the TLS that there is none of.
#[derive(Clone)]
pub(crate) struct Tls;

/// Makes connections through another connector.
pub(crate) struct TlsConnector<C>(C);

impl Tls {
    /// # Errors
    ///
    /// Where the server is at https.
    pub(crate) fn new(config: &Config, _: &TlsCache) -> Result<Self, Failure> {
        let is_https = |url: &Uri| url.scheme() == Some(&http::uri::Scheme::HTTPS);
        if is_https(&config.cluster_url) || config.proxy_url.as_ref().is_some_and(is_https) {
            return Err(Failure::NoTlsStack);
        }
        Ok(Self)
    }

    /// `inner` as it is.
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "the TLS stacks need them")]
    pub(crate) fn connector<H>(&self, inner: H) -> Result<TlsConnector<H>, Failure> {
        Ok(TlsConnector(inner))
    }
}

impl<C: Clone> TlsConnector<C> {
    /// The connector, whatever is offered.
    pub(crate) fn offering(&self, _: Offer) -> C {
        self.0.clone()
    }
}
