//! The server without a socket: a tower service that answers through the same path as the listener.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, header};
use kube::client::Body;

use crate::{
    access::credential::{Credential, Secret},
    pipeline::{
        body::{ConnectionCut, ResponseBody},
        respond,
        state::Core,
    },
};

/// Why a request to a socketless server got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The server is stopped or dropped.
    #[error("connection refused: the server is stopped")]
    Refused,
    /// The connection was cut before the answer: by a fault, or because the server was stopped or replaced.
    #[error("the connection was cut before the answer")]
    Cut(#[source] ConnectionCut),
}

/// A server as a [`tower::Service`], for [`kube::Client::new`].
///
/// [`TestServer::service`](crate::TestServer::service) makes it. Each call is a connection of its own, with the credential of the
/// service. It spawns nothing and opens no socket, so it runs under a paused clock.
#[derive(Clone)]
pub struct TestService {
    core: Arc<Core>,
    credential: Option<Credential>,
}

impl TestService {
    pub(crate) fn new(core: Arc<Core>, credential: Option<Credential>) -> Self {
        Self { core, credential }
    }
}

impl fmt::Debug for TestService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestService").field("credential", &self.credential).finish_non_exhaustive()
    }
}

impl tower::Service<Request<Body>> for TestService {
    type Response = Response<ResponseBody>;
    type Error = ServiceError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let core = Arc::clone(&self.core);
        let mut certificate = None;
        match self.credential.as_ref().map(Credential::secret) {
            Some(Secret::Token(token)) => {
                // A token no header can carry is like one that was never sent: the server will say so.
                if let Ok(value) = HeaderValue::try_from(format!("Bearer {token}")) {
                    request.headers_mut().insert(header::AUTHORIZATION, value);
                }
            }
            Some(Secret::Certificate(_)) => certificate = self.credential.as_ref().map(Credential::fingerprint),
            None => {}
        }
        Box::pin(async move {
            let connection = core.connect(certificate).ok_or(ServiceError::Refused)?;
            respond::respond(&core, &connection, request).await.map_err(ServiceError::Cut)
        })
    }
}
