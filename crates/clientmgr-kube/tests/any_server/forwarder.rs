//! [`Forwarder`]: a TCP port on loopback that leads to a server, can be closed and opened, and can lead elsewhere.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// Forwards connections. All end when it is dropped.
pub(crate) struct Forwarder {
    address: SocketAddr,
    /// Where connections lead; none while the port is closed. A change cuts all that are open.
    target: watch::Sender<Option<SocketAddr>>,
    accepted: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl Forwarder {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (target, targets) = watch::channel(Some(target));
        let accepted = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(forward(listener, targets, Arc::clone(&accepted))).abort_handle();
        Self { address, target, accepted, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were forwarded so far.
    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Cuts every connection, and closes new ones at once.
    pub(crate) fn close(&self) {
        self.target.send_replace(None);
    }

    /// Cuts every connection; new ones lead to `target`.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        self.target.send_replace(Some(target));
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(listener: TcpListener, mut targets: watch::Receiver<Option<SocketAddr>>, accepted: Arc<AtomicUsize>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            // A change first: what was accepted after it leads to the new target.
            biased;
            _ = targets.changed() => open.abort_all(),
            Ok((mut near, _)) = listener.accept() => {
                let Some(target) = *targets.borrow_and_update() else { continue };
                accepted.fetch_add(1, Ordering::SeqCst);
                open.spawn(async move {
                    let mut far = TcpStream::connect(target).await?;
                    copy_bidirectional(&mut near, &mut far).await
                });
            }
        }
    }
}
