//! [`Pool`]: the connections to one server. One HTTP/2 connection where the server speaks it, or a few where there are many
//! watches; several of HTTP/1.1 where it does not, and HTTP/1.1 for requests that upgrade.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::UPGRADE;
use http::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioTimer;
use kube::Config;
use kube::client::Body;
use tower::Service;
use tracing::{Instrument, Span, debug_span, field};

use super::body::BoxError;
use super::connections::Connections;
use super::connector::{Connector, Open, open};
use super::settings::Settings;
use super::spread::{Place, Placed, Spread};
use super::stream::Watch;
use super::tls::{Offer, Tls, TlsFingerprint, fingerprint};
use crate::error::Failure;

/// How much a server may send of what is not read yet: for each answer, and for all answers on a connection together. The
/// latter is never reached, so that a slow reader does not delay the other watches and requests.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 1 << 30;

/// A pool of connections.
pub(crate) struct Pool {
    recipe: Arc<Recipe>,
    connections: Connections,
    clients: Spread<Client<Connector, Body>>,
    /// Made for the first request that upgrades.
    upgrades: OnceLock<Client<Connector, Body>>,
}

/// How connections are made.
struct Recipe {
    server: Server,
    /// Keeps the configuration in the cache, which holds only those in use.
    _tls: Tls,
    open: Open,
    connect_timeout: Duration,
    idle_timeout: Duration,
    ping_interval: Duration,
    ping_timeout: Duration,
}

/// What a pool connects to, and how. Pools of equal ones are interchangeable.
#[derive(PartialEq)]
struct Server {
    url: Uri,
    tls: TlsFingerprint,
    tls_server_name: Option<String>,
    proxy: Option<Uri>,
    offer: Offer,
    timeouts: [Option<Duration>; 3],
}

impl Server {
    fn new(config: &Config, settings: &Settings) -> Self {
        // A timeout on reading would end a quiet HTTP/2 connection with everything on it.
        let offer = if settings.http2 && config.read_timeout.is_none() { Offer::Http2 } else { Offer::Http1 };
        Self {
            url: config.cluster_url.clone(),
            tls: fingerprint(config),
            tls_server_name: config.tls_server_name.clone(),
            proxy: config.proxy_url.clone(),
            offer,
            timeouts: [Some(settings.connect_timeout), config.read_timeout, config.write_timeout],
        }
    }
}

impl Pool {
    /// The pool for `config`: `previous` where it connects to the same server in the same way.
    pub(crate) fn for_config(
        config: &Config,
        settings: &Settings,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, Failure> {
        let server = Server::new(config, settings);
        if let Some(previous) = previous
            && previous.recipe.server == server
            && !previous.connections.is_closed()
        {
            return Ok(Arc::clone(previous));
        }
        let tls = Tls::new(config, &settings.tls)?;
        let recipe = Recipe {
            open: open(config, &tls)?,
            server,
            _tls: tls,
            connect_timeout: settings.connect_timeout,
            idle_timeout: settings.idle_timeout,
            ping_interval: settings.ping_interval,
            ping_timeout: settings.ping_timeout,
        };
        Ok(Arc::new(Self::new(Arc::new(recipe), Connections::new(&settings.tasks)?)))
    }

    /// A pool that connects to the same server, without connections.
    pub(crate) fn fresh(&self) -> Arc<Self> {
        Arc::new(Self::new(Arc::clone(&self.recipe), self.connections.fresh()))
    }

    fn new(recipe: Arc<Recipe>, connections: Connections) -> Self {
        Self { recipe, connections, clients: Spread::new(), upgrades: OnceLock::new() }
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// The client for `request`, and the request's place on a connection of it.
    fn client_for(&self, request: &Request<Body>) -> (Client<Connector, Body>, Place) {
        let Self { recipe, connections, .. } = self;
        if !request.headers().contains_key(UPGRADE) {
            let make = || client(recipe, recipe.server.offer, connections, Watch::Report);
            return self.clients.take(connections.granted(), make);
        }
        // The request that upgrades a connection ends it too: such an end says nothing about the server.
        let upgrades = self.upgrades.get_or_init(|| client(recipe, Offer::Http1, connections, Watch::Ignore));
        (upgrades.clone(), Place::default())
    }
}

fn client(recipe: &Recipe, offer: Offer, connections: &Connections, watch: Watch) -> Client<Connector, Body> {
    let connector =
        Connector::new((Arc::clone(&recipe.open), offer), recipe.connect_timeout, connections.clone(), watch);
    // A request that a pooled connection did not take, because it was just closed, goes to another one. No other request
    // is sent twice.
    Client::builder(connections.clone())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(recipe.idle_timeout)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(recipe.ping_interval)
        .http2_keep_alive_timeout(recipe.ping_timeout)
        .http2_keep_alive_while_idle(true)
        .build(connector)
}

/// A pool as a service. Names its spans as kube does.
#[derive(Clone)]
pub(crate) struct PoolService(pub(crate) Arc<Pool>);

impl Service<Request<Body>> for PoolService {
    type Response = Response<Placed>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let span = debug_span!(
            "HTTP",
            http.method = %request.method(),
            http.url = %request.uri(),
            http.status_code = field::Empty,
            otel.name = request.extensions().get::<&'static str>().unwrap_or(&"HTTP"),
            otel.kind = "client",
            otel.status_code = field::Empty,
        );
        let (client, place) = self.0.client_for(&request);
        let answer = client.request(request);
        let sending = async move {
            let answer = answer.await;
            let span = Span::current();
            let status = answer.as_ref().ok().map(Response::status);
            if let Some(status) = status {
                span.record("http.status_code", status.as_u16());
            }
            if status.is_none_or(|status| status.is_client_error() || status.is_server_error()) {
                span.record("otel.status_code", "ERROR");
            }
            Ok(answer?.map(|body| Placed::new(body, place)))
        };
        Box::pin(sending.instrument(span))
    }
}

#[cfg(all(test, feature = "rustls-tls"))]
mod tests {
    use kube::Config;

    use super::Pool;
    use crate::client::settings::Settings;

    #[tokio::test]
    async fn pools_with_the_same_trust_share_one_tls_configuration() {
        let (settings, mut config) = (Settings::default(), Config::new("https://127.0.0.1:1".parse().unwrap()));
        config.root_cert = Some(vec![]);
        let _first = Pool::for_config(&config, &settings, None).unwrap();
        assert_eq!(settings.tls.in_use(), 1);
        config.cluster_url = "https://127.0.0.1:2".parse().unwrap();
        let _second = Pool::for_config(&config, &settings, None).unwrap();
        assert_eq!(settings.tls.in_use(), 1);
        config.accept_invalid_certs = true;
        let _third = Pool::for_config(&config, &settings, None).unwrap();
        assert_eq!(settings.tls.in_use(), 2);
    }
}
