//! The state that all requests share: the cluster behind the address, what a test injected, the log. What happens to a
//! request is decided in `respond`.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    access::credential::Fingerprint,
    clock::Clock,
    control::{
        faults::{ConnectionFault, Injection},
        injected::InjectedList,
        log::Log,
        open_watches::OpenWatches,
        requests::Requests,
    },
    error::{InstallError, StartError},
    pipeline::{cluster::Cluster, settings::Settings},
};

/// The cluster of a connection. A connection is cut, and never moved to another cluster.
#[derive(Debug, Clone)]
pub(crate) struct Tenancy {
    pub(crate) cluster: Arc<Cluster>,
    /// Cancelled when every connection is closed.
    cut: CancellationToken,
    /// Cancelled when every connection goes silent.
    pub(crate) silent: CancellationToken,
}

/// One connection, or one call of a socketless service.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: u64,
    pub(crate) certificate: Option<Fingerprint>,
    pub(crate) tenancy: Tenancy,
    /// Cancelled when the server closes this connection, alone or with all others.
    pub(crate) closed: CancellationToken,
}

/// The server, without its transport.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) log: Arc<Log>,
    pub(crate) faults: InjectedList<Injection>,
    pub(crate) connection_faults: InjectedList<ConnectionFault>,
    pub(crate) denials: InjectedList<Requests>,
    pub(crate) watches: Arc<OpenWatches>,
    /// Cancelled when the server ends.
    pub(crate) gone: CancellationToken,
    ready: AtomicBool,
    connections: AtomicU64,
    installed: Mutex<Vec<Value>>,
    behind: Mutex<Behind>,
}

/// The current cluster.
#[derive(Debug)]
struct Behind {
    tenancy: Tenancy,
    /// False while the server is stopped.
    open: bool,
}

impl Core {
    pub(crate) fn new(settings: Settings, installed: Vec<Value>) -> Result<Self, StartError> {
        let gone = CancellationToken::new();
        let clock = Clock::starting_at(settings.starts_at.unwrap_or_else(Timestamp::now));
        let cluster = Arc::new(Cluster::new(&settings, clock, &installed)?);
        let tenancy = Tenancy { cluster, cut: gone.child_token(), silent: CancellationToken::new() };
        Ok(Self {
            log: Arc::new(Log::new(settings.log_capacity, clock)),
            settings,
            faults: InjectedList::default(),
            connection_faults: InjectedList::default(),
            denials: InjectedList::default(),
            watches: Arc::default(),
            gone,
            ready: AtomicBool::new(true),
            connections: AtomicU64::new(0),
            installed: Mutex::new(installed),
            behind: Mutex::new(Behind { tenancy, open: true }),
        })
    }

    /// The current cluster.
    pub(crate) fn cluster(&self) -> Arc<Cluster> {
        Arc::clone(&self.behind().tenancy.cluster)
    }

    /// A new connection to the current cluster, unless the server is stopped or has ended.
    pub(crate) fn connect(&self, certificate: Option<Fingerprint>) -> Option<Connection> {
        let behind = self.behind();
        if !behind.open || self.gone.is_cancelled() {
            return None;
        }
        let tenancy = behind.tenancy.clone();
        drop(behind);
        let id = self.connections.fetch_add(1, Ordering::Relaxed);
        let closed = tenancy.cut.child_token();
        Some(Connection { id, certificate, tenancy, closed })
    }

    /// Cuts every connection. Later ones are accepted.
    pub(crate) fn cut_connections(&self) {
        let mut behind = self.behind();
        self.renew(&mut behind);
    }

    /// Makes every connection silent. Later ones are served.
    pub(crate) fn silence_connections(&self) {
        std::mem::take(&mut self.behind().tenancy.silent).cancel();
    }

    /// Cuts every connection and accepts no new one until [`open`](Self::open).
    pub(crate) fn close(&self) {
        let mut behind = self.behind();
        behind.open = false;
        self.renew(&mut behind);
    }

    pub(crate) fn open(&self) {
        self.behind().open = true;
    }

    /// Replaces the current cluster by the one that `make` makes of it, and cuts every connection.
    pub(crate) fn replace(
        &self,
        make: impl FnOnce(&Cluster, &[Value]) -> Result<Cluster, StartError>,
    ) -> Result<(), StartError> {
        let installed = self.installed().clone();
        let mut behind = self.behind();
        behind.tenancy.cluster = Arc::new(make(&behind.tenancy.cluster, &installed)?);
        self.renew(&mut behind);
        Ok(())
    }

    /// Serves another type, in this cluster and in all later ones.
    pub(crate) fn install(&self, crd: Value) -> Result<(), InstallError> {
        let mut installed = self.installed();
        self.cluster().api.install(&crd).map_err(|status| InstallError::refused(&status))?;
        // A definition that was deleted and installed again comes once.
        installed.retain(|other| other.pointer("/metadata/name") != crd.pointer("/metadata/name"));
        installed.push(crd);
        Ok(())
    }

    pub(crate) fn ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }

    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::SeqCst);
    }

    fn renew(&self, behind: &mut Behind) {
        behind.tenancy.silent = CancellationToken::new();
        std::mem::replace(&mut behind.tenancy.cut, self.gone.child_token()).cancel();
    }

    fn behind(&self) -> MutexGuard<'_, Behind> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn installed(&self) -> MutexGuard<'_, Vec<Value>> {
        self.installed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
