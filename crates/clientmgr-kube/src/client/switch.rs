//! [`Switch`]: the service under the `kube::Client` of a cluster. It forwards requests to the transport of now, which is
//! exchanged under the client, and fails all of them once it is revoked.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use clientmgr_core::{ConnectedAt, NamespacedName};
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tower::Service;

use super::body::{BoxError, ResponseBody};
use super::connections::WeakConnections;
use super::fence::Fence;
use super::repeat::try_clone;
use super::revoked::{Revoked, RevokedReason};
use super::settings::{Clock, Settings};
use super::transport::Transport;
use crate::error::{ConnectError, Failure};
use crate::work::Tasks;

/// Where a switch asks for newer credentials: the cluster's member.
pub(crate) trait CredentialRequests: Send + Sync {
    /// Asks for credentials newer than those of `generation`, which the server refused or which have expired.
    ///
    /// Returns true once the switch is turned to newer ones, and false where there are none. Any number of requests may
    /// ask for the same generation at a time: it is one renewal.
    fn unauthorized(&self, generation: u64) -> BoxFuture<'static, bool>;
}

/// How often a request that is refused is sent again with newer credentials. Twice, since a renewal that was under way may
/// have loaded the very credentials that were refused, while they still passed.
const RENEWALS: usize = 2;

/// The switch of one (cluster, revision).
pub(crate) struct Switch {
    cluster: NamespacedName,
    revision: ConnectedAt,
    link: Mutex<Arc<dyn CredentialRequests>>,
    credentials_deadline: Duration,
    clock: Clock,
    tasks: Tasks,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What the requests and bodies of now are behind. Another one once a pulled one is lifted.
    fence: Fence,
    current: Option<Current>,
    /// Connections of transports that were exchanged, as long as streams on them are open.
    superseded: Vec<WeakConnections>,
}

#[derive(Clone)]
struct Current {
    transport: Transport,
    generation: u64,
    /// Whether the credentials have expired by the local clock, though they were just proven: the clock is wrong, and the
    /// server decides.
    is_early: bool,
}

impl Switch {
    /// A switch without a transport. Its requests fail until it is [turned](Self::turn) to one.
    pub(crate) fn new(
        cluster: NamespacedName,
        revision: ConnectedAt,
        link: Arc<dyn CredentialRequests>,
        settings: &Settings,
    ) -> Arc<Self> {
        let Settings { credentials_deadline, clock, tasks, .. } = settings;
        Arc::new(Self {
            cluster,
            revision,
            link: Mutex::new(link),
            credentials_deadline: *credentials_deadline,
            clock: Arc::clone(clock),
            tasks: tasks.clone(),
            state: Mutex::default(),
        })
    }

    /// Makes a client over this switch; none once the fleet stops. Must be called within a runtime, where kube spawns a task
    /// for it.
    pub(super) fn client(self: &Arc<Self>, default_namespace: &str) -> Option<Client> {
        let service = SwitchService { switch: Arc::clone(self), _token: self.tasks.of_client()? };
        Some(Client::new(service, default_namespace))
    }

    /// Sends requests through `transport` from now on. Streams that are open on the one before go on until they end.
    ///
    /// Lifts the fence of a cluster that was removed or replaced: one that comes back under the same revision gets its client
    /// back. Changes nothing and returns false where the fence was pulled for another reason. `generation` grows with each turn.
    pub(crate) fn turn(&self, transport: Transport, generation: u64) -> bool {
        let mut state = self.state();
        match state.fence.pulled() {
            Some(revoked) if !revoked.reason.may_be_lifted() => return false,
            Some(_) => state.fence = Fence::default(),
            None => {}
        }
        state.superseded.retain(|connections| connections.upgrade().is_some());
        let connections = transport.connections().clone();
        let is_early = transport.expires().is_some_and(|expires| expires <= (self.clock)());
        let previous = state.current.replace(Current { transport, generation, is_early });
        if let Some(previous) = &previous
            && !previous.transport.connections().is_same(&connections)
        {
            state.superseded.push(previous.transport.connections().downgrade());
        }
        // The pool of the previous one may be dropped with it, which is not to happen under the lock.
        drop(state);
        true
    }

    /// Fails all later requests, and ends those that wait for an answer and all open response bodies at once.
    pub(crate) fn revoke(&self, reason: RevokedReason) {
        let mut state = self.state();
        let revoked = Revoked::new(self.cluster.clone(), self.revision, reason);
        // Before the connections are closed, so that their streams end with this error and not with that of a cut.
        state.fence.pull(revoked.clone());
        let current = state.current.take();
        let superseded = std::mem::take(&mut state.superseded);
        drop(state);
        let current = current.iter().map(|current| current.transport.connections().clone());
        for connections in superseded.iter().filter_map(WeakConnections::upgrade).chain(current) {
            connections.revoke(&revoked);
        }
    }

    /// Asks for newer credentials at `link` from now on: a cluster that comes back has another member.
    pub(crate) fn ask_for_credentials_at(&self, link: Arc<dyn CredentialRequests>) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = link;
    }

    /// Why this switch is revoked, if it is.
    #[cfg(test)]
    pub(crate) fn revoked(&self) -> Option<Revoked> {
        self.state().fence.pulled().cloned()
    }

    /// The revision of the switch.
    pub(crate) fn revision(&self) -> ConnectedAt {
        self.revision
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(self: Arc<Self>, request: Request<Body>) -> Result<Response<ResponseBody>, BoxError> {
        let (fence, current) = {
            let state = self.state();
            (state.fence.clone(), state.current.clone())
        };
        if let Some(revoked) = fence.pulled() {
            return Err(Fence::refusal(revoked));
        }
        let current = current.ok_or_else(|| ConnectError::new(self.cluster.clone(), Failure::Connecting))?;
        let answer = fence.guard(self.exchange(request, current)).await;
        let answer = answer.map_err(|revoked| Fence::refusal(&revoked))??;
        Ok(answer.map(|body| fence.guard_body(body)))
    }

    /// Sends `request`, with newer credentials where those of `current` have expired, and again with newer ones where the
    /// server refuses them.
    async fn exchange(&self, request: Request<Body>, mut current: Current) -> Result<Response<ResponseBody>, BoxError> {
        let mut may_ask = true;
        if !current.is_early && current.transport.expires().is_some_and(|expires| expires <= (self.clock)()) {
            match self.newer_than(current.generation).await {
                Some(newer) => current = newer,
                // The server's clock decides in the end. The request does not ask twice for the same.
                None => may_ask = false,
            }
        }
        let mut again = if may_ask { try_clone(&request) } else { None };
        let mut answer = current.transport.send(request).await?;
        for _ in 0..RENEWALS {
            if answer.status() != StatusCode::UNAUTHORIZED {
                break;
            }
            let Some(request) = again.take() else { break };
            let Some(newer) = self.newer_than(current.generation).await else { break };
            again = try_clone(&request);
            answer = newer.transport.send(request).await?;
            current = newer;
        }
        Ok(answer)
    }

    /// Credentials newer than those of `generation`, after asking for them where there are none yet.
    async fn newer_than(&self, generation: u64) -> Option<Current> {
        if let Some(newer) = self.current_if_newer(generation) {
            return Some(newer);
        }
        let link = Arc::clone(&self.link.lock().unwrap_or_else(PoisonError::into_inner));
        // Whatever the answer, and also where none comes in time: what counts is where the switch stands then.
        let _ = tokio::time::timeout(self.credentials_deadline, link.unauthorized(generation)).await;
        self.current_if_newer(generation)
    }

    fn current_if_newer(&self, generation: u64) -> Option<Current> {
        self.state().current.clone().filter(|current| current.generation > generation)
    }
}

struct SwitchService {
    switch: Arc<Switch>,
    /// The task that owns this service ends when the client is dropped.
    _token: TaskTrackerToken,
}

impl Service<Request<Body>> for SwitchService {
    type Response = Response<ResponseBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    /// Always ready: the buffer that kube puts around it would be dead for good after an error here.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(Arc::clone(&self.switch).send(request))
    }
}

#[cfg(test)]
#[path = "switch_tests.rs"]
mod tests;
