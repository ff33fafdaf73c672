//! [`Transport`]: sends requests to one server with fixed credentials. New credentials are a new transport, on the same
//! connections where those do not depend on the credentials.

use std::sync::Arc;

use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::Config;
use kube::client::middleware::{AuthLayer, BaseUriLayer, ExtraHeadersLayer};
use kube::client::{Body, ConfigExt};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt};

#[cfg(any(test, feature = "simulated"))]
use super::body::cut_by;
use super::body::{BoxError, ResponseBody};
use super::connections::{Connections, Report};
use super::parts::Parts;
use super::pool::{Pool, PoolService};
use super::repeat;
use super::settings::Settings;
use super::spread::Placed;
use crate::auth::{Issued, Validity};
use crate::config::{Credentials, Loaded, translate};
use crate::error::Failure;

type Stack = BoxCloneSyncService<Request<Body>, Response<ResponseBody>, BoxError>;

/// A transport. Clones are the same transport.
#[derive(Clone)]
pub(crate) struct Transport(Arc<Inner>);

struct Inner {
    stack: Stack,
    connections: Connections,
    /// None where a service stands in for a server.
    network: Option<Network>,
    validity: Option<Validity>,
    default_namespace: String,
}

struct Network {
    pool: Arc<Pool>,
    layers: Arc<Layers>,
}

/// What is done to each request before it goes to the pool.
struct Layers {
    base_uri: BaseUriLayer,
    headers: ExtraHeadersLayer,
    /// kube's own: a password, or an authentication provider that renews its tokens.
    auth: Option<AuthLayer>,
    token: Option<HeaderValue>,
    #[cfg(feature = "gzip")]
    gzip: bool,
}

impl Transport {
    /// Returns whether [`build`](Self::build) may block: it reads the system's trust store, or kube's own layer asks for
    /// credentials.
    pub(crate) fn build_blocks(loaded: &Loaded) -> bool {
        let trusts_the_system = loaded.config.root_cert.is_none() && !loaded.config.accept_invalid_certs;
        trusts_the_system || matches!(loaded.credentials, Credentials::Kube)
    }

    /// Builds a transport from what was loaded and what a plugin issued, on the connections of `previous` where it
    /// connects to the same server in the same way. Opens no connection.
    ///
    /// [May block](Self::build_blocks). Must be called within a runtime, where its connections run.
    pub(crate) fn build(
        loaded: &Loaded,
        issued: Option<&Issued>,
        settings: &Settings,
        previous: Option<&Self>,
    ) -> Result<Self, Failure> {
        let Parts { mut config, token, validity } = Parts::new(loaded, issued, (settings.clock)());
        // Headers are appended to each request, and a ready configuration may have one of these too.
        config.headers.retain(|(name, _)| name != USER_AGENT);
        config.headers.push((USER_AGENT, settings.user_agent.clone()));
        let previous = previous.and_then(|previous| Some(&previous.0.network.as_ref()?.pool));
        let pool = Pool::for_config(&config, settings, previous)?;
        let layers = Layers {
            base_uri: config.base_uri_layer(),
            headers: config.extra_headers_layer().map_err(translate::building)?,
            auth: config.auth_layer().map_err(translate::building)?,
            token: token.as_ref().map(crate::auth::Token::header),
            #[cfg(feature = "gzip")]
            gzip: !config.disable_compression,
        };
        let Config { default_namespace, .. } = config;
        Ok(Self::on(pool, Arc::new(layers), validity, default_namespace))
    }

    fn on(pool: Arc<Pool>, layers: Arc<Layers>, validity: Option<Validity>, default_namespace: String) -> Self {
        Self(Arc::new(Inner {
            stack: layers.over(PoolService(Arc::clone(&pool))),
            connections: pool.connections().clone(),
            network: Some(Network { pool, layers }),
            validity,
            default_namespace,
        }))
    }

    /// A transport that hands requests to `service`, which stands in for a server.
    #[cfg(any(test, feature = "simulated"))]
    pub(crate) fn from_service<S, B>(service: S) -> Result<Self, Failure>
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let connections = Connections::new(&crate::work::Tasks::default())?;
        let ends = connections.clone();
        let stack = service.map_err(Into::into).map_response(move |answer: Response<B>| {
            let ends = ends.clone();
            answer.map(|body| {
                let closed = ends.closed();
                cut_by(closed, move || ends.reason(), body.map_err(Into::into).boxed_unsync())
            })
        });
        Ok(Self(Arc::new(Inner {
            stack: BoxCloneSyncService::new(stack),
            connections,
            network: None,
            validity: None,
            default_namespace: "default".to_owned(),
        })))
    }

    /// Sends `request`; again where the server says that it did not take it.
    pub(crate) fn send(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<ResponseBody>, BoxError>> {
        let stack = self.0.stack.clone();
        let connections = self.0.connections.clone();
        let refusals = connections.refusals().count();
        let sending = async move {
            let mut request = request;
            for _ in 0..repeat::REPEATS {
                let Some(copy) = repeat::try_clone(&request) else { break };
                match stack.clone().oneshot(request).await {
                    Err(error) if repeat::was_turned_away(&*error) => request = copy,
                    done => return done,
                }
            }
            stack.oneshot(request).await
        };
        Box::pin(async move {
            let answer = connections.until_closed(sending).await?;
            answer.map_err(|error| connections.refusals().explain(refusals, error))
        })
    }

    /// The same credentials on a new pool: its first request makes a new connection.
    ///
    /// Where a service stands in for a server it is the same transport.
    pub(crate) fn fresh(&self) -> Self {
        let Inner { network, validity, default_namespace, .. } = &*self.0;
        match network {
            Some(Network { pool, layers }) => {
                Self::on(pool.fresh(), Arc::clone(layers), *validity, default_namespace.clone())
            }
            None => self.clone(),
        }
    }

    /// Ends everything that is open on the connections of this transport at once, and fails later requests. Transports
    /// that share its pool are closed too.
    pub(crate) fn close(&self) {
        self.0.connections.close();
    }

    /// Calls `callback` with each report of the pool. Replaces what was called before; transports that share a pool share
    /// this.
    pub(crate) fn on_report(&self, callback: impl Fn(Report) + Send + Sync + 'static) {
        self.0.connections.on_report(Arc::new(callback));
    }

    /// When the credentials expire, as far as they say.
    pub(crate) fn expires(&self) -> Option<Timestamp> {
        self.0.validity.map(|validity| validity.until())
    }

    /// From when to when the credentials hold, as far as they say.
    pub(crate) fn validity(&self) -> Option<Validity> {
        self.0.validity
    }

    #[cfg(test)]
    pub(crate) fn with_validity(&self, validity: Validity) -> Self {
        let Inner { stack, connections, default_namespace, .. } = &*self.0;
        Self(Arc::new(Inner {
            stack: stack.clone(),
            connections: connections.clone(),
            network: None,
            validity: Some(validity),
            default_namespace: default_namespace.clone(),
        }))
    }

    /// Whether `other` sends the same credentials to the same server over the same connections.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let (Some(ours), Some(theirs)) = (&self.0.network, &other.0.network) else { return false };
        // kube's own authentication renews what it sends.
        let is_fixed = ours.layers.auth.is_none() && theirs.layers.auth.is_none();
        is_fixed
            && Arc::ptr_eq(&ours.pool, &theirs.pool)
            && ours.layers.token == theirs.layers.token
            && self.expires() == other.expires()
            && self.default_namespace() == other.default_namespace()
    }

    pub(crate) fn default_namespace(&self) -> &str {
        &self.0.default_namespace
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.0.connections
    }
}

impl Layers {
    /// In the order of kube's own client.
    fn over(&self, pool: PoolService) -> Stack {
        let with_headers = self.headers.layer(pool);
        match &self.auth {
            None => self.over_auth(with_headers),
            Some(auth) => self.over_auth(auth.layer(with_headers)),
        }
    }

    fn over_auth<S>(&self, service: S) -> Stack
    where
        S: Service<Request<Body>, Response = Response<Placed>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        let token = self.token.clone();
        let service = service.map_err(Into::into).map_request(move |mut request: Request<Body>| {
            if let Some(token) = &token {
                request.headers_mut().insert(AUTHORIZATION, token.clone());
            }
            request
        });
        #[cfg(feature = "gzip")]
        let service = tower_http::decompression::Decompression::new(service).gzip(self.gzip);
        let service = self.base_uri.layer(service);
        BoxCloneSyncService::new(service.map_response(|answer: Response<_>| {
            answer.map(|body| BodyExt::map_err(body, BoxError::from).boxed_unsync())
        }))
    }
}

#[cfg(all(test, feature = "rustls-tls", feature = "ring"))]
#[path = "transport_tests.rs"]
mod tests;
