//! A cluster: its content, its authority and the credentials it accepts.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustls::ServerConfig;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    access::{
        authn::Credentials,
        credential::{Credential, User},
    },
    api::entry::Api,
    clock::Clock,
    error::{InstallError, StartError},
    pipeline::settings::Settings,
    pki::{authority::Authority, certificate_error::CertificateError, issued::Validity, security::Security, tls},
};

/// A cluster: its content, its authority and the credentials it accepts. A replacement has all of these anew.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) api: Api,
    pub(crate) uid: Arc<str>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) clock: Clock,
    /// None over plain HTTP.
    pub(crate) pki: Option<Arc<Pki>>,
    admin: Mutex<Credential>,
}

/// The authority, and the TLS settings with its server certificate.
#[derive(Debug)]
pub(crate) struct Pki {
    pub(crate) authority: Authority,
    pub(crate) server: Arc<ServerConfig>,
}

impl Pki {
    fn new(settings: &Settings) -> Result<Self, CertificateError> {
        let authority = Authority::new(&settings.name)?;
        let server = tls::server_config(&authority, settings.protocols, Validity::Good)?;
        Ok(Self { authority, server })
    }
}

impl Cluster {
    /// A cluster with its own authority and one administrator.
    pub(crate) fn new(settings: &Settings, clock: Clock, installed: &[Value]) -> Result<Self, StartError> {
        let admin = Credential::random_token(User::new("admin").group("system:masters"));
        let credentials = Arc::new(Credentials::default());
        credentials.accept(&admin, None, Instant::now());
        let pki = match settings.security {
            Security::Tls => Some(Arc::new(Pki::new(settings)?)),
            Security::Plain => None,
        };
        Self::with(installed, clock, credentials, pki, admin)
    }

    /// Another cluster, which accepts the credentials of this one.
    pub(crate) fn sibling(&self, installed: &[Value]) -> Result<Self, StartError> {
        Self::with(installed, self.clock, Arc::clone(&self.credentials), self.pki.clone(), self.admin())
    }

    fn with(
        installed: &[Value],
        clock: Clock,
        credentials: Arc<Credentials>,
        pki: Option<Arc<Pki>>,
        admin: Credential,
    ) -> Result<Self, StartError> {
        let api = Api::with_clock(move || clock.now());
        for crd in installed {
            api.install(crd).map_err(|status| InstallError::refused(&status))?;
        }
        let uid = api.kube_system_uid().into();
        Ok(Self { api, uid, clock, credentials, pki, admin: Mutex::new(admin) })
    }

    /// The administrator's credential.
    pub(crate) fn admin(&self) -> Credential {
        self.admin.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Issues a token in place of `old`, which is refused after `grace`.
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
