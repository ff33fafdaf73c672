//! [`Authorize`]: the service around a client's own that adds the token to each request, and renews it in time.
//!
//! A renewal runs as a task, so that it goes on while no request does, and ends with the client. Requests wait for it
//! only if there is nothing good to send, each by itself and never in `poll_ready`: a worker that is not ready does not
//! see that its clients are gone, and neither the renewal nor its plugin would end with them. A request whose token is
//! refused is sent once more with a renewed one.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use jiff::Timestamp;
use kube::client::Body;
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;
use tower::{BoxError, Layer, Service};

use super::config;
use super::lane::Lane;
use super::plugin;
use super::renewal::{Bearer, Due, Origin};
use super::token::Token;
use crate::ConnectFailure;

/// How long reading a token file may take.
const READ_DEADLINE: Duration = Duration::from_secs(10);

/// Puts [`Authorize`] around a service. To be used within the runtime that the client belongs to.
pub(crate) struct AuthorizeLayer(Bearer);

impl AuthorizeLayer {
    pub(crate) fn new(bearer: Bearer) -> Self {
        Self(bearer)
    }
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Authorize<S> {
        let desk =
            Desk { bearer: self.0.clone(), renewal: None, runtime: Handle::current(), lane: Arc::new(Lane::new()) };
        Authorize { inner: Arc::new(Mutex::new(inner)), desk: Arc::new(Mutex::new(desk)) }
    }
}

/// See the [module](self). What its requests share is locked for the time of a step, never across an await.
pub(crate) struct Authorize<S> {
    inner: Arc<Mutex<S>>,
    desk: Arc<Mutex<Desk>>,
}

/// Both locks guard what is whole between any two steps, so a panic under one leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Renewed = Result<(Token, Option<Timestamp>), ConnectFailure>;

/// A renewal under way, for all requests that wait for it. Ends when the last of these is dropped.
type Renewal = Shared<BoxFuture<'static, Renewed>>;

/// Where the requests of a client get their token.
struct Desk {
    bearer: Bearer,
    renewal: Option<Renewal>,
    runtime: Handle,
    lane: Arc<Lane>,
}

impl Desk {
    /// The renewal that is due or under way, and whether to wait for it.
    fn renewal(&mut self) -> Option<(Renewal, Due)> {
        let due = self.bearer.due(Timestamp::now(), Instant::now());
        if due == Due::No && self.renewal.is_none() {
            return None;
        }
        let renewal = self.renewal.get_or_insert_with(|| {
            let running = Running(self.runtime.spawn(renew(self.bearer.origin().clone(), Arc::clone(&self.lane))));
            running.outcome().boxed().shared()
        });
        Some((renewal.clone(), due))
    }

    /// Notes what the server made of a token.
    fn note(&mut self, token: &Token, status: StatusCode) {
        if status == StatusCode::UNAUTHORIZED {
            self.bearer.refuse(token);
        } else if status.is_success() {
            self.bearer.accept(token);
        }
    }

    /// Takes the outcome of a renewal from the first who tells it.
    fn settle(&mut self, renewal: &Renewal, outcome: Renewed) {
        if self.renewal.take_if(|standing| standing.ptr_eq(renewal)).is_some() {
            self.bearer.renew(outcome, Instant::now());
        }
    }
}

/// The token to send, renewed before where there is none that is good.
async fn fitting(desk: &Mutex<Desk>) -> Result<Option<Token>, ConnectFailure> {
    let renewal = lock(desk).renewal();
    if let Some((renewal, due)) = renewal {
        // A clone is waited for, since what has ended forgets which one it was.
        let outcome = match due {
            Due::Now => Some(renewal.clone().await),
            Due::Soon | Due::No => renewal.clone().now_or_never(),
        };
        if let Some(outcome) = outcome {
            lock(desk).settle(&renewal, outcome);
        }
    }
    lock(desk).bearer.token(Timestamp::now()).map(Option::<&Token>::cloned)
}

/// The task of a renewal; ends when dropped.
struct Running(JoinHandle<Renewed>);

impl Running {
    async fn outcome(mut self) -> Renewed {
        (&mut self.0).await.unwrap_or_else(|error| Err(unfinished(&error)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why a renewal did not run to its end.
fn unfinished(error: &JoinError) -> ConnectFailure {
    // Nobody aborts one whose outcome is still asked for, other than a runtime that shuts down.
    if error.is_cancelled() { ConnectFailure::RuntimeEnded } else { ConnectFailure::RenewalPanicked }
}

async fn renew(origin: Origin, lane: Arc<Lane>) -> Renewed {
    match origin {
        Origin::Plugin { exec, deadline } => {
            let issued = plugin::run(&exec, deadline).await?;
            // It gave one before, and a certificate that it gives now cannot be put in place.
            let command = exec.command.clone().unwrap_or_default();
            let token = issued.token.ok_or(crate::PluginProblem::Garbage { command })?;
            Ok((token, issued.expires))
        }
        Origin::File(path) => {
            let token = lane.run(READ_DEADLINE, move || config::read_token(&path)).await??;
            Ok((token, None))
        }
        // Never due.
        Origin::Fixed => Err(ConnectFailure::Refused),
    }
}

/// Sends a request with this token.
///
/// Requests share `inner`, and a service keeps the waker of the last that found it not ready: were it ever to make one
/// wait, the others might not be woken. What kube builds below never does: hyper's client is always ready, and the
/// layers around it ask it and hold nothing back. A layer below that limits what is under way (of concurrency or rate,
/// a buffer) would need a service for each request.
async fn send<S, R>(
    inner: &Mutex<S>,
    mut request: Request<Body>,
    token: Option<&Token>,
) -> Result<Response<R>, BoxError>
where
    S: Service<Request<Body>, Response = Response<R>>,
    S::Error: Into<BoxError>,
{
    if let Some(token) = token {
        request.headers_mut().insert(AUTHORIZATION, token.header());
    }
    let mut request = Some(request);
    let answering = poll_fn(|context| {
        // Ready and called under one lock, since being ready is for the one call that follows.
        let mut inner = lock(inner);
        ready!(inner.poll_ready(context)).map_err(Into::into)?;
        let request = request.take().expect("ready once, since this future ends with it");
        Poll::Ready(Ok::<_, BoxError>(inner.call(request)))
    });
    answering.await?.await.map_err(Into::into)
}

impl<S, R> Service<Request<Body>> for Authorize<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    R: Send + 'static,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // No call uses this readiness, `send` asks for its own. It reserves nothing, since what is below is always
        // ready; it is asked for so that an error of what is below is told here.
        lock(&self.inner).poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (inner, desk) = (Arc::clone(&self.inner), Arc::clone(&self.desk));
        Box::pin(async move {
            // An error here is one of this request; from `poll_ready` it would end the client for good.
            let Some(token) = fitting(&desk).await? else {
                return send(&inner, request, None).await;
            };
            let again = if lock(&desk).bearer.is_renewable() { repeatable(&request) } else { None };
            let response = send(&inner, request, Some(&token)).await?;
            lock(&desk).note(&token, response.status());
            let Some(again) = again.filter(|_| response.status() == StatusCode::UNAUTHORIZED) else {
                return Ok(response);
            };
            // What a server refuses for want of credentials it has not carried out, so once more does no harm; and
            // only with another token does it help.
            match fitting(&desk).await {
                Ok(Some(renewed)) if renewed != token => {
                    drop(response);
                    let response = send(&inner, again, Some(&renewed)).await?;
                    lock(&desk).note(&renewed, response.status());
                    Ok(response)
                }
                // There is none. The refusal says more of this request than why there is none.
                _ => Ok(response),
            }
        })
    }
}

/// The same request once more, unless its body is a stream, which can be had only once.
fn repeatable(request: &Request<Body>) -> Option<Request<Body>> {
    let mut again = Request::new(request.body().try_clone()?);
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.version_mut() = request.version();
    *again.headers_mut() = request.headers().clone();
    *again.extensions_mut() = request.extensions().clone();
    Some(again)
}

#[cfg(test)]
mod tests {
    use super::unfinished;
    use crate::ConnectFailure;

    #[tokio::test]
    async fn a_renewal_that_panicked_is_told_from_one_that_the_runtime_ended() {
        let ended = tokio::spawn(std::future::pending::<()>());
        ended.abort();
        assert!(matches!(unfinished(&ended.await.unwrap_err()), ConnectFailure::RuntimeEnded));

        let panicked = tokio::spawn(async { std::panic::resume_unwind(Box::new("on purpose")) });
        let error = Result::<(), _>::unwrap_err(panicked.await);
        assert!(matches!(unfinished(&error), ConnectFailure::RenewalPanicked));
    }
}
