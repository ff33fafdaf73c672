//! [`Authorize`]: the service around a client's own that adds the token to each request, and renews it in time.
//!
//! A renewal runs as a task, so that it goes on while no request does, and ends with the client. Requests wait for it
//! only if there is nothing good to send. Nothing is locked: a client's worker owns this service and calls it alone.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use jiff::Timestamp;
use tokio::sync::watch;
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

/// Puts [`Authorize`] around a service.
pub(crate) struct AuthorizeLayer(Bearer);

impl AuthorizeLayer {
    pub(crate) fn new(bearer: Bearer) -> Self {
        Self(bearer)
    }
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Authorize<S> {
        Authorize {
            inner,
            bearer: self.0.clone(),
            renewal: None,
            refused: watch::Sender::new(None),
            lane: Arc::new(Lane::new()),
        }
    }
}

type Renewed = Result<(Token, Option<Timestamp>), ConnectFailure>;

pub(crate) struct Authorize<S> {
    inner: S,
    bearer: Bearer,
    renewal: Option<Renewal>,
    /// The last token that a server refused. Written by the responses.
    refused: watch::Sender<Option<Token>>,
    lane: Arc<Lane>,
}

/// A renewal under way; ends when dropped.
struct Renewal(JoinHandle<Renewed>);

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<S> Authorize<S> {
    /// Drives the renewal, if one is due or under way. Pending only where nothing can be sent before it ends.
    fn poll_token(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(token) = self.refused.send_replace(None) {
            self.bearer.refuse(&token);
        }
        let due = self.bearer.due(Timestamp::now(), Instant::now());
        if due == Due::No && self.renewal.is_none() {
            return Poll::Ready(());
        }
        let origin = self.bearer.origin();
        let lane = &self.lane;
        let renewal =
            self.renewal.get_or_insert_with(|| Renewal(tokio::spawn(renew(origin.clone(), Arc::clone(lane)))));
        match Pin::new(&mut renewal.0).poll(context) {
            Poll::Ready(outcome) => {
                self.renewal = None;
                self.bearer.renew(outcome.unwrap_or_else(|error| Err(unfinished(&error))), Instant::now());
                Poll::Ready(())
            }
            Poll::Pending if due == Due::Now => Poll::Pending,
            Poll::Pending => Poll::Ready(()),
        }
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

impl<S, B, R> Service<Request<B>> for Authorize<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        ready!(self.poll_token(context));
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let token = match self.bearer.token(Timestamp::now()) {
            Ok(token) => token.cloned(),
            // Not from `poll_ready`: an error there would end the client for good.
            Err(failure) => return Box::pin(async { Err(failure.into()) }),
        };
        if let Some(token) = &token {
            request.headers_mut().insert(AUTHORIZATION, token.header());
        }
        let answering = self.inner.call(request);
        let refused = self.refused.clone();
        Box::pin(async move {
            let response = answering.await.map_err(Into::into)?;
            if response.status() == StatusCode::UNAUTHORIZED && token.is_some() {
                refused.send_replace(token);
            }
            Ok(response)
        })
    }
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
