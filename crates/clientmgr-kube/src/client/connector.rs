//! [`Connector`]: makes the connections of a pool, direct or through a proxy, with TLS where the server has it, within a
//! deadline. Proxies are those of kube's own client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{future::Future, io};

use futures::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, Write};
#[cfg(feature = "socks5")]
use hyper_util::client::legacy::connect::proxy::SocksV5;
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use kube::Config;
use tower::{Service, ServiceExt};

use super::body::BoxError;
use super::connections::Connections;
use super::stream::{BoxIo, Stream, Watch};
use super::tls::{Offer, Tls, TlsConnector};
use crate::error::{ConfigError, Failure};

/// How long a TCP connection is quiet before the system asks whether the peer is there.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
const TCP_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const TCP_KEEPALIVE_RETRIES: u32 = 3;

/// Opens a connection to a server, with what is offered to it.
pub(crate) type Open = Arc<dyn Fn(Uri, Offer) -> BoxFuture<'static, Result<BoxIo, BoxError>> + Send + Sync>;

/// How `config` opens connections.
pub(crate) fn open(config: &Config, tls: &Tls) -> Result<Open, Failure> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(TCP_KEEPALIVE));
    tcp.set_keepalive_interval(Some(TCP_KEEPALIVE_INTERVAL));
    tcp.set_keepalive_retries(Some(TCP_KEEPALIVE_RETRIES));
    let Some(proxy) = &config.proxy_url else { return Ok(erase(config, tls.connector(tcp)?)) };
    match proxy.scheme_str() {
        #[cfg(feature = "socks5")]
        Some("socks5") => {
            let socks = SocksV5::new(proxy.clone(), tcp);
            match login::of(proxy) {
                Some((user, password)) => {
                    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                    let with_login = socks.clone().with_auth(text(user), text(password));
                    Ok(erase(config, tls.connector(login::if_wanted(with_login, socks))?))
                }
                None => Ok(erase(config, tls.connector(socks)?)),
            }
        }
        #[cfg(feature = "http-proxy")]
        Some("http") => Ok(erase(config, tls.connector(tunnel::through(proxy, tcp))?)),
        #[cfg(feature = "http-proxy")]
        Some("https") => {
            let to_proxy = tls.connector(tcp)?.offering(Offer::Http1);
            Ok(erase(config, tls.connector(tunnel::through(proxy, to_proxy))?))
        }
        #[cfg(not(feature = "socks5"))]
        Some("socks5") => Err(ConfigError::ProxyFeature { feature: "socks5" }.into()),
        #[cfg(not(feature = "http-proxy"))]
        Some("http" | "https") => Err(ConfigError::ProxyFeature { feature: "http-proxy" }.into()),
        scheme => Err(ConfigError::UnsupportedProxy { scheme: scheme.unwrap_or_default().to_owned() }.into()),
    }
}

#[cfg(any(feature = "socks5", feature = "http-proxy"))]
mod login {
    use http::Uri;
    use percent_encoding::percent_decode_str;
    #[cfg(feature = "socks5")]
    use {
        super::BoxError,
        crate::error::TransportError,
        tower::{Service, ServiceExt, service_fn},
    };

    /// The user and the password in the URL of a proxy.
    pub(super) fn of(proxy: &Uri) -> Option<(Vec<u8>, Vec<u8>)> {
        let (login, _) = proxy.authority()?.as_str().rsplit_once('@')?;
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let decode = |text| percent_decode_str(text).collect();
        Some((decode(user), decode(password)))
    }

    /// Connects with a login, or without one where the proxy takes none: hyper-util offers one of both.
    #[cfg(feature = "socks5")]
    pub(super) fn if_wanted<C>(
        with_login: C,
        without: C,
    ) -> impl Service<Uri, Response = C::Response, Error = BoxError, Future: Send> + Clone + Send + Sync + 'static
    where
        C: Service<Uri, Error: Into<BoxError>, Future: Send> + Clone + Send + Sync + 'static,
        C::Response: Send,
    {
        service_fn(move |server: Uri| {
            let (with_login, without) = (with_login.clone(), without.clone());
            async move {
                let error: BoxError = match with_login.oneshot(server.clone()).await {
                    Ok(connected) => return Ok(connected),
                    Err(error) => error.into(),
                };
                if !TransportError::is_no_login_wanted(&*error) {
                    return Err(error);
                }
                without.oneshot(server).await.map_err(Into::into)
            }
        })
    }
}

#[cfg(feature = "http-proxy")]
mod tunnel {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use http::{HeaderValue, Uri};
    use hyper_util::client::legacy::connect::proxy::Tunnel;

    use super::login;

    /// A tunnel through `proxy`, with the user and password of its URL.
    pub(super) fn through<C>(proxy: &Uri, connector: C) -> Tunnel<C> {
        let tunnel = Tunnel::new(proxy.clone(), connector);
        match credentials(proxy) {
            Some(credentials) => tunnel.with_auth(credentials),
            None => tunnel,
        }
    }

    fn credentials(proxy: &Uri) -> Option<HeaderValue> {
        let (user, password) = login::of(proxy)?;
        let login = STANDARD.encode([user.as_slice(), b":", &password].concat());
        let mut value = HeaderValue::from_str(&format!("Basic {login}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    #[cfg(test)]
    mod tests {
        use http::Uri;

        use super::credentials;

        #[test]
        fn the_user_of_a_proxy_is_decoded() {
            let header = |url: &'static str| credentials(&Uri::from_static(url));
            assert_eq!(header("http://user:pa%40ss@proxy:1").unwrap(), "Basic dXNlcjpwYUBzcw==");
            assert!(header("http://user:pass@proxy:1").unwrap().is_sensitive());
            assert_eq!(header("http://proxy:1"), None);
        }
    }
}

fn erase<C>(config: &Config, connector: TlsConnector<C>) -> Open
where
    C: Service<Uri, Error: Into<BoxError>> + Clone + Send + Sync + 'static,
    C::Response: Read + Write + Connection + Send + Unpin + 'static,
    C::Future: Send + 'static,
{
    let (read, write, resets) = (config.read_timeout, config.write_timeout, config.reset_reader_on_write);
    if read.is_none() && write.is_none() {
        return Arc::new(move |server, offer| {
            let opened = connector.offering(offer).oneshot(server);
            Box::pin(async move { Ok(Box::new(TokioIo::new(opened.await.map_err(boxed)?)) as BoxIo) })
        });
    }
    Arc::new(move |server, offer| {
        let mut connector = hyper_timeout::TimeoutConnector::new(connector.offering(offer));
        connector.set_read_timeout(read);
        connector.set_write_timeout(write);
        connector.set_reset_reader_on_write(resets);
        let opened = connector.oneshot(server);
        Box::pin(async move { Ok(Box::new(TokioIo::new(opened.await?)) as BoxIo) })
    })
}

/// The error of any of the TLS stacks.
fn boxed(error: impl Into<BoxError>) -> BoxError {
    error.into()
}

/// The connector of one pool.
#[derive(Clone)]
pub(crate) struct Connector {
    open: Open,
    offer: Offer,
    timeout: Duration,
    connections: Connections,
    watch: Watch,
}

impl Connector {
    pub(crate) fn new((open, offer): (Open, Offer), timeout: Duration, connections: Connections, watch: Watch) -> Self {
        Self { open, offer, timeout, connections, watch }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let Self { open, offer, timeout, connections, watch } = self.clone();
        // As a task, so that it belongs to the fleet's runtime and ends when the pool is closed.
        Box::pin(connections.clone().spawn(async move {
            match tokio::time::timeout(timeout, open(server, offer)).await {
                Ok(Ok(io)) => Ok(TokioIo::new(Stream::new(io, connections, watch))),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(BoxError::from(io::Error::new(io::ErrorKind::TimedOut, "no connection in time"))),
            }
        }))
    }
}
