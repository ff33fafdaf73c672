//! TLS by OpenSSL, through kube's own connector: HTTP/1.1 only.

use http::Uri;
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::connect::Connection;
use kube::Config;
use kube::client::ConfigExt;
use tower::{Service, ServiceExt};

use super::fingerprint::Offer;
use crate::client::body::BoxError;
use crate::config::translate;
use crate::error::Failure;

/// Nothing is shared with OpenSSL.
#[derive(Default)]
pub(crate) struct TlsCache;

/// The TLS of one transport.
#[derive(Clone)]
pub(crate) struct Tls(Config);

/// Makes connections through another connector.
pub(crate) struct TlsConnector<C>(C);

impl Tls {
    #[expect(clippy::unnecessary_wraps, reason = "the other TLS stack can fail here")]
    pub(crate) fn new(config: &Config, _: &TlsCache) -> Result<Self, Failure> {
        Ok(Self(config.clone()))
    }

    /// A connector that speaks TLS through `inner` where the scheme is https. HTTP/2 is never offered.
    pub(crate) fn connector<H>(
        &self,
        inner: H,
    ) -> Result<
        TlsConnector<
            impl Service<
                Uri,
                Response: Read + Write + Connection + Send + Unpin + 'static,
                Error = BoxError,
                Future: Send + 'static,
            >
            + Clone
            + Send
            + Sync
            + 'static
            + use<H>,
        >,
        Failure,
    >
    where
        H: Service<Uri> + Clone + Send + Sync + 'static,
        H::Response: Read + Write + Connection + Send + Unpin + 'static,
        H::Future: Send + 'static,
        H::Error: Into<BoxError>,
    {
        let connector = self.0.openssl_https_connector_with_connector(inner).map_err(translate::building)?;
        Ok(TlsConnector(connector.map_err(BoxError::from)))
    }
}

impl<C: Clone> TlsConnector<C> {
    /// The connector, whatever is offered.
    pub(crate) fn offering(&self, _: Offer) -> C {
        self.0.clone()
    }
}
