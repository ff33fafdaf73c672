//! What a member's task is sent, and the way to send it.

use std::sync::Arc;

use clientmgr_core::ConnectedAt;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::event::Request;
use crate::client::{CredentialRequests, Report, WeakConnections};
use crate::config::ClusterConfig;
use crate::error::ConnectError;

/// A message to a member's task.
pub(crate) enum Message {
    /// A configuration, and the number of it. Those that describe the same have one number. Boxed: a mailbox has room for 32
    /// messages from the start.
    Config(Box<ClusterConfig>, u64),
    Ask(Request, oneshot::Sender<Answer>),
    FilesChanged,
    /// What happened to these connections.
    Reported(WeakConnections, Report),
    ClockJumped,
    Removed,
    /// The fleet shuts down.
    ShutDown,
}

/// What a request is answered. `Ok(None)`: there are no newer credentials.
pub(crate) type Answer = Result<Option<ConnectedAt>, ConnectError>;

pub(crate) type Mailbox = mpsc::UnboundedSender<Message>;

/// The way from a handle or a transport back to its member, which does not keep the member alive.
#[derive(Clone)]
pub(super) struct BackLink(mpsc::WeakUnboundedSender<Message>);

impl BackLink {
    pub(super) fn new(mailbox: mpsc::WeakUnboundedSender<Message>) -> Self {
        Self(mailbox)
    }

    /// Sends `message`, unless the member is gone.
    pub(super) fn send(&self, message: Message) -> bool {
        self.0.upgrade().is_some_and(|mailbox| mailbox.send(message).is_ok())
    }

    pub(super) fn into_credential_requests(self) -> Arc<dyn CredentialRequests> {
        Arc::new(self)
    }
}

impl CredentialRequests for BackLink {
    fn unauthorized(&self, generation: u64) -> BoxFuture<'static, bool> {
        let (reply, answer) = oneshot::channel();
        if !self.send(Message::Ask(Request::NewerThan { generation }, reply)) {
            return futures::future::ready(false).boxed();
        }
        async move { matches!(answer.await, Ok(Ok(Some(_)))) }.boxed()
    }
}
