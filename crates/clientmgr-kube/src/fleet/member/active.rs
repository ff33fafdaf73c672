//! [`Active`]: the connection of a member that is in use, the handle over it, and what the server said of itself. What
//! must not live here: decisions, and work that is awaited.

use std::sync::Arc;
use std::time::Duration;

use clientmgr_core::{ConnectedAt, Connection, NamespacedName};

use super::event::FenceReason;
use super::gate::Gate;
use super::machine::{Link, Machine};
use super::mailbox::{BackLink, Message};
use crate::client::{Handle, RevokedReason, Transport, WeakConnections};
use crate::config::ClusterIdentity;
use crate::error::{ConnectError, Failure};
use crate::fleet::connector::Established;
use crate::fleet::context::Context;
use crate::fleet::snapshot::{ClusterSnapshot, ConnectionState};
use crate::probe::{Details, Evidence, Extent, Verified};

/// See the [module](self).
pub(super) struct Active {
    key: NamespacedName,
    context: Arc<Context>,
    gate: Arc<Gate>,
    back_link: BackLink,
    current: Option<Established>,
    /// The transport of a probe on a fresh connection.
    fresh: Option<Transport>,
    /// What is served.
    handle: Option<Handle>,
    /// How long the first answer of the last probe on a pooled connection took.
    latency: Option<Duration>,
    /// What the server said last of itself and of us.
    details: Details,
    /// Whether that may have changed: the next probe asks.
    details_due: bool,
}

/// What a probe is of.
pub(super) struct Target {
    pub(super) transport: Transport,
    pub(super) address: ClusterIdentity,
    pub(super) extent: Extent,
}

impl Active {
    pub(super) fn new(key: NamespacedName, context: Arc<Context>, gate: Arc<Gate>, back_link: BackLink) -> Self {
        Self {
            key,
            context,
            gate,
            back_link,
            current: None,
            fresh: None,
            handle: None,
            latency: None,
            details: Details::default(),
            details_due: true,
        }
    }

    /// The transport that is in use.
    pub(super) fn transport(&self) -> Option<Transport> {
        self.current.as_ref().map(|current| current.transport.clone())
    }

    /// What to probe: the transport that is in use, or the same on a fresh connection.
    pub(super) fn probe_target(&mut self, fresh: bool) -> Option<Target> {
        let current = self.current.as_ref()?;
        let transport = if fresh { current.transport.fresh() } else { current.transport.clone() };
        self.fresh = fresh.then(|| transport.clone());
        let extent = if std::mem::take(&mut self.details_due) { Extent::Details } else { Extent::Proof };
        Some(Target { transport, address: current.address.clone(), extent })
    }

    /// Uses what an attempt established from now on.
    pub(super) fn install(&mut self, established: Established) {
        self.details_due = established.verified.details.is_none();
        self.learn(established.verified.clone(), true);
        let transport = established.transport.clone();
        self.current = Some(established);
        self.exchange(transport);
    }

    /// Uses the fresh connection of the last probe from now on.
    pub(super) fn install_fresh(&mut self) {
        if let Some(fresh) = self.fresh.take() {
            self.exchange(fresh);
        }
    }

    /// Drops the fresh connection of the last probe, if it is not in use.
    pub(super) fn drop_fresh(&mut self) {
        self.fresh = None;
    }

    /// `transport` is the current one, and its connections are watched.
    fn exchange(&mut self, transport: Transport) {
        let (back_link, connections) = (self.back_link.clone(), transport.connections().downgrade());
        transport.on_report(move |report| _ = back_link.send(Message::Reported(connections.clone(), report)));
        if let Some(current) = &mut self.current {
            current.transport = transport;
        }
    }

    /// Keeps what a probe found.
    pub(super) fn probed(&mut self, verified: Verified) {
        let is_fresh = self.fresh.is_some();
        self.learn(verified, is_fresh);
    }

    /// Keeps what a proof found that brought what is in use already.
    pub(super) fn confirm(&mut self, verified: Verified) {
        self.learn(verified, true);
    }

    /// Keeps what was found. On a fresh connection the answer took the handshakes too: its latency counts only as the first.
    fn learn(&mut self, verified: Verified, is_fresh: bool) {
        if !is_fresh || self.latency.is_none() {
            self.latency = Some(verified.latency);
        }
        if let Some(details) = verified.details {
            self.details = details;
        }
    }

    /// Whether `connections` are those in use.
    pub(super) fn uses(&self, connections: &WeakConnections) -> bool {
        self.current.as_ref().is_some_and(|current| connections.are(current.transport.connections()))
    }

    /// What the server said of itself may have changed.
    pub(super) fn doubt_details(&mut self) {
        self.details_due = true;
    }

    /// Serves the handle of `revision` over the transport in use.
    pub(super) fn serve(&mut self, revision: ConnectedAt, generation: u64) {
        let closed = self.current.as_ref().filter(|current| current.transport.connections().is_closed());
        if let Some(current) = closed {
            // They went with the fence of the handle before.
            self.exchange(current.transport.fresh());
        }
        let Some(current) = &self.current else { return };
        let credentials = || self.back_link.clone().into_credential_requests();
        let served = self.handle.take().filter(|handle| handle.switch().revision() == revision);
        let switch = match &served {
            Some(handle) => Arc::clone(handle.switch()),
            None => self.context.handle(&self.key, revision, credentials),
        };
        if !self.gate.turn(&switch, current.transport.clone(), generation) {
            // The cluster was removed meanwhile. The task reads so next.
            return;
        }
        let valid_until = current.transport.expires().filter(|_| current.renewal_pause.is_none());
        let default_namespace = current.transport.default_namespace();
        let served = served.filter(|handle| handle.default_namespace() == default_namespace);
        let handle = served.unwrap_or_else(|| Handle::new(switch, default_namespace));
        self.handle = Some(handle.with_valid_until(valid_until));
    }

    /// Fences the handle of `revision`, if it is the one that is served.
    pub(super) fn fence(&mut self, revision: ConnectedAt, reason: FenceReason) {
        let Some(handle) = self.handle.take_if(|handle| handle.switch().revision() == revision) else { return };
        handle.switch().revoke(match reason {
            FenceReason::Replaced => RevokedReason::Replaced,
            FenceReason::Reset => RevokedReason::Reset,
            FenceReason::Removed => RevokedReason::Removed,
        });
    }

    /// Drops the handle, which was fenced before, and closes the connections.
    pub(super) fn close(&mut self) {
        self.handle = None;
        if let Some(current) = self.current.take() {
            current.transport.close();
        }
    }

    /// What readers see, as `machine` has it.
    pub(super) fn view(
        &self,
        machine: &Machine<Evidence, ConnectError>,
    ) -> (Result<Connection<Handle, ConnectedAt>, ConnectError>, ClusterSnapshot) {
        let unavailable = machine.unavailable().map(|error| error.of_cluster(&self.key));
        let serving = match (machine.served(), &self.handle) {
            (Some(Link { revision: Some(revision), .. }), Some(handle)) => {
                Ok(Connection { client: handle.clone(), revision: *revision })
            }
            _ => Err(unavailable.clone().unwrap_or_else(|| ConnectError::new(self.key.clone(), Failure::Connecting))),
        };
        let state = match &serving {
            Ok(_) => ConnectionState::Connected,
            Err(_) if unavailable.is_none() => ConnectionState::Connecting,
            Err(_) => ConnectionState::Unavailable,
        };
        let link = machine.link();
        let error = match state {
            ConnectionState::Connected => machine.attempt_error().map(|error| error.of_cluster(&self.key)),
            _ => unavailable,
        };
        let snapshot = ClusterSnapshot {
            cluster: self.key.clone(),
            state,
            connected_at: link.and_then(|link| link.revision),
            identity: link.and_then(|link| link.identity.identity()).cloned(),
            identity_shown: link.is_some_and(|link| !link.shown.shows_less_than(&link.identity)),
            user: link.and_then(|_| self.details.user.clone()),
            version: link.and_then(|_| self.details.version.clone()),
            latency: link.and(self.latency),
            credentials_expire_at: link.and_then(|_| self.current.as_ref()?.transport.expires()),
            error,
            config_pending: false,
            interruption: 0,
            generation: link.map_or(0, |link| link.generation),
        };
        (serving, snapshot)
    }
}
