//! What the listener, the socketless services and the handle share: the cluster behind the address, the standing
//! orders, the log. State only; a request's way through it is [`serve`](super::serve)'s.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rustls::ServerConfig;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    access::Anonymous,
    api::Api,
    auth::Credentials,
    builder::{DeclareError, StartError},
    credential::{Credential, Fingerprint, User},
    faults::{ConnectionFault, Injection},
    listen::{Protocols, Security},
    log::Log,
    requests::Requests,
    rules::Rules,
    tls::{Authority, CertificateError, Validity},
    watches::OpenWatches,
};

/// A cluster: its content, its authority and whom it lets in. Replacing the cluster replaces all of this.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) api: Api,
    pub(crate) uid: Arc<str>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) pki: Arc<Pki>,
    admin: Mutex<Credential>,
}

/// The authority, and what the listener presents of it.
#[derive(Debug)]
pub(crate) struct Pki {
    pub(crate) authority: Authority,
    pub(crate) server: Arc<ServerConfig>,
}

impl Pki {
    fn new(settings: &Settings) -> Result<Self, CertificateError> {
        let authority = Authority::new(&settings.name, settings.protocols)?;
        let server = authority.server_config(Validity::Good)?;
        Ok(Self { authority, server })
    }
}

impl Cluster {
    /// A cluster with its own authority and one administrator.
    pub(crate) fn new(settings: &Settings, declared: &[Value]) -> Result<Self, StartError> {
        let admin = Credential::random_token(User::new("admin").group("system:masters"));
        let credentials = Arc::new(Credentials::default());
        credentials.accept(&admin, None, Instant::now());
        Self::with(declared, credentials, Arc::new(Pki::new(settings)?), admin)
    }

    /// Another cluster that lets in whom this one does.
    pub(crate) fn sibling(&self, declared: &[Value]) -> Result<Self, StartError> {
        Self::with(declared, Arc::clone(&self.credentials), Arc::clone(&self.pki), self.admin())
    }

    fn with(
        declared: &[Value],
        credentials: Arc<Credentials>,
        pki: Arc<Pki>,
        admin: Credential,
    ) -> Result<Self, StartError> {
        let api = Api::new();
        for crd in declared {
            api.declare(crd).map_err(|status| DeclareError::refused(&status))?;
        }
        let uid = api.kube_system_uid().into();
        Ok(Self { api, uid, credentials, pki, admin: Mutex::new(admin) })
    }

    /// The administrator's credential.
    pub(crate) fn admin(&self) -> Credential {
        self.admin.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets a new token stand in for `old`, which is refused after `grace`.
    pub(crate) fn rotate(&self, old: &Credential, grace: Duration) -> Credential {
        let new = Credential::random_token(old.user().clone());
        let now = Instant::now();
        self.credentials.accept(&new, None, now);
        self.credentials.revoke(old.fingerprint(), grace, now);
        let mut admin = self.admin.lock().unwrap_or_else(PoisonError::into_inner);
        if admin.fingerprint() == old.fingerprint() {
            *admin = new.clone();
        }
        new
    }
}

/// Where a connection leads, for as long as it lives: it is never moved to another cluster, it is cut.
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

/// Settings that do not change while the server lives.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) security: Security,
    pub(crate) protocols: Protocols,
    pub(crate) anonymous: Anonymous,
    pub(crate) head_timeout: Duration,
    pub(crate) log_capacity: usize,
}

/// The server, whatever it is reached by.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) log: Arc<Log>,
    pub(crate) faults: Rules<Injection>,
    pub(crate) connection_faults: Rules<ConnectionFault>,
    pub(crate) denials: Rules<Requests>,
    pub(crate) watches: Arc<OpenWatches>,
    /// Cancelled when the server is gone for good.
    pub(crate) gone: CancellationToken,
    ready: AtomicBool,
    connections: AtomicU64,
    declared: Mutex<Vec<Value>>,
    behind: Mutex<Behind>,
}

/// What is behind the address now.
#[derive(Debug)]
struct Behind {
    tenancy: Tenancy,
    /// False while the server is stopped.
    open: bool,
}

impl Core {
    pub(crate) fn new(settings: Settings, declared: Vec<Value>) -> Result<Self, StartError> {
        let gone = CancellationToken::new();
        let cluster = Arc::new(Cluster::new(&settings, &declared)?);
        let tenancy = Tenancy { cluster, cut: gone.child_token(), silent: CancellationToken::new() };
        Ok(Self {
            log: Arc::new(Log::new(settings.log_capacity)),
            settings,
            faults: Rules::default(),
            connection_faults: Rules::default(),
            denials: Rules::default(),
            watches: Arc::default(),
            gone,
            ready: AtomicBool::new(true),
            connections: AtomicU64::new(0),
            declared: Mutex::new(declared),
            behind: Mutex::new(Behind { tenancy, open: true }),
        })
    }

    /// The cluster behind the address now.
    pub(crate) fn cluster(&self) -> Arc<Cluster> {
        Arc::clone(&self.behind().tenancy.cluster)
    }

    /// A new connection to the cluster behind the address, unless the server is stopped or gone.
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

    /// Cuts every connection. Later ones are let in.
    pub(crate) fn cut_connections(&self) {
        let mut behind = self.behind();
        self.renew(&mut behind);
    }

    /// Makes every connection silent. Later ones are served.
    pub(crate) fn silence_connections(&self) {
        std::mem::take(&mut self.behind().tenancy.silent).cancel();
    }

    /// Cuts every connection and lets nobody in until [`open`](Self::open).
    pub(crate) fn close(&self) {
        let mut behind = self.behind();
        behind.open = false;
        self.renew(&mut behind);
    }

    pub(crate) fn open(&self) {
        self.behind().open = true;
    }

    /// Puts the cluster that `make` makes of the present one in its place and cuts every connection.
    pub(crate) fn replace(
        &self,
        make: impl FnOnce(&Cluster, &[Value]) -> Result<Cluster, StartError>,
    ) -> Result<(), StartError> {
        let declared = self.declared().clone();
        let mut behind = self.behind();
        behind.tenancy.cluster = Arc::new(make(&behind.tenancy.cluster, &declared)?);
        self.renew(&mut behind);
        Ok(())
    }

    /// Serves another type, now and in every cluster that comes after.
    pub(crate) fn declare(&self, crd: Value) -> Result<(), DeclareError> {
        let mut declared = self.declared();
        self.cluster().api.declare(&crd).map_err(|status| DeclareError::refused(&status))?;
        // A definition that was deleted and declared again comes once.
        declared.retain(|other| other.pointer("/metadata/name") != crd.pointer("/metadata/name"));
        declared.push(crd);
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

    fn declared(&self) -> MutexGuard<'_, Vec<Value>> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
