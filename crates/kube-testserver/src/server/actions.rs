//! What a test does to a living server: issue and revoke credentials, forbid, inject faults, replace the cluster, read the
//! log. The same for every transport. Starting and stopping is in `handle`.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::{
    access::credential::{Credential, Fingerprint, User},
    control::{
        faults::{ConnectionFault, ConnectionInjection, Injection},
        injected::InjectionHandle,
        no_such_request::NoSuchRequest,
        record::{Marker, RequestRecord},
        requests::{LogFilter, Requests},
    },
    error::{InstallError, StartError},
    pipeline::cluster::Cluster,
    pki::{
        certificate_error::{CertificateError, NeedsTls},
        security::Security,
    },
    server::handle::{Loopback, TestServer},
};

/// Which part of the old cluster the new one behind the same address shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Replacement {
    /// The authority and every credential stay valid. Only the content and the UID differ, so this replacement is the
    /// hardest to notice.
    SameCa,
    /// The new cluster has an authority of its own and accepts none of the old credentials. The administrator has a new one.
    /// Old clients fail in the TLS handshake; over plain HTTP they get 401.
    NewCa,
}

/// # Credentials
///
/// Lifetimes and grace periods run on tokio's clock, so a test with a paused clock can let them pass. A credential
/// that is refused is refused for every new request, on old connections too; a watch that is open stays open, as
/// it does on a real API server.
impl<T> TestServer<T> {
    /// Returns the administrator's token (user `admin`, group `system:masters`).
    pub fn admin(&self) -> Credential {
        self.core.cluster().admin()
    }

    /// Issues a bearer token that is valid until revoked.
    pub fn issue_token(&self, user: impl Into<User>) -> Credential {
        self.accept(Credential::random_token(user.into()), None)
    }

    /// Issues a bearer token that is valid for `lifetime`.
    pub fn issue_expiring_token(&self, user: impl Into<User>, lifetime: Duration) -> Credential {
        self.accept(Credential::random_token(user.into()), Some(lifetime))
    }

    /// Accepts this token for a user, until it is revoked.
    pub fn accept_token(&self, user: impl Into<User>, token: impl Into<String>) -> Credential {
        self.accept(Credential::from_token(user.into(), token.into()), None)
    }

    /// Issues a client certificate: common name the user, organisation the user's first group, signed by the
    /// server's authority. All of the user's groups are effective.
    ///
    /// # Errors
    /// [`CertificateError::NeedsTls`] if the server speaks plain HTTP.
    pub fn issue_certificate(&self, user: impl Into<User>, lifetime: Duration) -> Result<Credential, CertificateError> {
        let (user, cluster) = (user.into(), self.core.cluster());
        let pki = cluster.pki.as_ref().ok_or(CertificateError::NeedsTls(NeedsTls))?;
        // A subject has room for one organisation; the server knows the other groups of a user by itself.
        let group = user.groups().first().map(String::as_str);
        let issued = pki.authority.issue_client(user.name(), group, lifetime)?;
        Ok(self.accept(Credential::from_certificate(user, issued), Some(lifetime)))
    }

    /// Issues a token in place of `old`, for the same user. The old credential is refused after `grace`; zero is at once. A
    /// new token for the administrator becomes the one that [`admin`](Self::admin) returns.
    pub fn rotate_token(&self, old: &Credential, grace: Duration) -> Credential {
        self.core.cluster().rotate(old, grace)
    }

    /// Refuses a credential from now on. Returns whether it was known.
    pub fn revoke(&self, fingerprint: Fingerprint) -> bool {
        self.revoke_after(fingerprint, Duration::ZERO)
    }

    /// Refuses a credential after a grace period. Returns whether it was known.
    pub fn revoke_after(&self, fingerprint: Fingerprint, grace: Duration) -> bool {
        self.core.cluster().credentials.revoke(fingerprint, grace, Instant::now())
    }

    /// Refuses a token from now on. Returns whether it was known.
    pub fn revoke_token(&self, token: &str) -> bool {
        self.revoke(Fingerprint::of_token(token))
    }

    fn accept(&self, credential: Credential, lifetime: Option<Duration>) -> Credential {
        self.core.cluster().credentials.accept(&credential, lifetime, Instant::now());
        credential
    }
}

/// # The cluster
impl<T> TestServer<T> {
    /// Returns the name of the server.
    pub fn name(&self) -> &str {
        &self.core.settings.name
    }

    /// Returns the certificate of the cluster's authority. There is none over plain HTTP.
    pub fn ca_pem(&self) -> Option<String> {
        self.core.cluster().pki.as_ref().map(|pki| pki.authority.pem().to_owned())
    }

    /// Returns the UID of the namespace `kube-system`, the cluster's identity.
    pub fn kube_system_uid(&self) -> String {
        self.core.cluster().uid.to_string()
    }

    /// Puts another cluster behind the same address. It has another UID and contains only the types that were installed.
    /// Every connection is cut, and no old one reaches the new cluster.
    ///
    /// # Errors
    /// If the new cluster cannot be made. Nothing has changed then.
    pub fn replace(&self, replacement: Replacement) -> Result<(), StartError> {
        let settings = &self.core.settings;
        self.core.replace(|old, installed| match replacement {
            Replacement::SameCa => old.sibling(installed),
            Replacement::NewCa => Cluster::new(settings, old.clock, installed),
        })
    }

    /// Serves a custom resource, as [`TestServerBuilder::install`](crate::TestServerBuilder::install) does.
    ///
    /// # Errors
    /// If the definition cannot be serialized, or is refused, for example because it is served already.
    pub fn install(&self, crd: impl Serialize) -> Result<(), InstallError> {
        self.core.install(serde_json::to_value(crd).map_err(InstallError::Serialize)?)
    }

    /// Drops the history of changes: a watch or list from any earlier resource version gets a 410.
    pub fn compact(&self) {
        self.core.cluster().api.compact();
    }
}

/// # Faults
impl<T> TestServer<T> {
    /// Makes requests fail: see [`Fault`](crate::Fault). Of several faults that apply to a request, the oldest hits it.
    ///
    /// The fault stays in force when the returned [`InjectionHandle`] is dropped. Keep it to [`lift`](InjectionHandle::lift) a fault
    /// that was given no count.
    pub fn inject(&self, fault: impl Into<Injection>) -> InjectionHandle {
        let injection = fault.into();
        let times = injection.times;
        self.core.faults.add(injection, times)
    }

    /// Forbids a user a verb on a resource: 403, with the real server's message. `*` is every user, verb or resource.
    pub fn forbid(
        &self,
        user: impl Into<String>,
        verb: impl Into<String>,
        resource: impl Into<String>,
    ) -> InjectionHandle {
        self.forbid_requests(Requests::to(resource).verb(verb).user(user))
    }

    /// Forbids requests: 403, with the real server's message.
    pub fn forbid_requests(&self, requests: Requests) -> InjectionHandle {
        self.core.denials.add(requests, None)
    }

    /// Sets whether `/readyz` succeeds. It does by default.
    pub fn set_ready(&self, ready: bool) {
        self.core.set_ready(ready);
    }

    /// Closes every connection, and with it the requests on it. New connections are accepted at once.
    pub fn cut_connections(&self) {
        self.core.cut_connections();
    }

    /// Ends the open watches among these requests cleanly, without an event. Their clients may watch again at once. Returns
    /// the number of watches.
    pub fn end_watches(&self, requests: &Requests) -> usize {
        self.core.watches.end(requests)
    }
}

impl TestServer<Loopback> {
    /// Makes every open connection silent, as a NAT does that drops its flow: the server accepts bytes, and neither answers
    /// nor closes. New connections are served.
    ///
    /// A silent connection ends when its client closes it, or with [`cut_connections`](Self::cut_connections). Requests that
    /// are sent on it do not appear in the log; those already on it end with the connection.
    pub fn silence_connections(&self) {
        self.core.silence_connections();
    }

    /// Makes connections fail before their first request: see [`ConnectionFault`]. Open connections stay open;
    /// [`cut_connections`](Self::cut_connections) makes their clients connect again.
    ///
    /// # Errors
    /// If the fault needs TLS and the server speaks plain HTTP.
    pub fn inject_on_connect(&self, fault: impl Into<ConnectionInjection>) -> Result<InjectionHandle, NeedsTls> {
        let ConnectionInjection { fault, times } = fault.into();
        if fault == ConnectionFault::ExpiredCertificate && self.core.settings.security == Security::Plain {
            return Err(NeedsTls);
        }
        Ok(self.core.connection_faults.add(fault, times))
    }
}

/// # The request log
///
/// It keeps the last requests, [65,536 unless set](crate::TestServerBuilder::log_capacity), a few hundred bytes each.
impl<T> TestServer<T> {
    /// Returns the requests of the log, oldest first.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.core.log.matching(&Requests::any().into())
    }

    /// Returns the requests of the log that match, oldest first.
    pub fn requests_matching(&self, filter: impl Into<Requests<LogFilter>>) -> Vec<RequestRecord> {
        self.core.log.matching(&filter.into())
    }

    /// Returns the number of requests that the log has dropped to stay within its capacity.
    pub fn requests_lost(&self) -> u64 {
        self.core.log.lost()
    }

    /// Returns a place in the log: later requests are [`since`](Requests::since) it.
    pub fn marker(&self) -> Marker {
        self.core.log.marker()
    }

    /// Waits for a request that matches, and returns the oldest one. Requests that are in the log already count, unless the
    /// filter has [`since`](Requests::since).
    ///
    /// It does not poll and has no deadline of its own: see [`wait_for_within`](Self::wait_for_within).
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn wait_for(&self, filter: impl Into<Requests<LogFilter>>) -> RequestRecord {
        self.core.log.wait_for(&filter.into()).await
    }

    /// Waits as [`wait_for`](Self::wait_for) does, for this long at most.
    ///
    /// # Errors
    /// If no such request comes in time. The error shows the filter and the last requests of the log.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn wait_for_within(
        &self,
        limit: Duration,
        filter: impl Into<Requests<LogFilter>>,
    ) -> Result<RequestRecord, NoSuchRequest> {
        let filter = filter.into();
        let found = tokio::time::timeout(limit, self.core.log.wait_for(&filter)).await;
        found.map_err(|_| NoSuchRequest::new(limit, filter, self.core.log.matching(&Requests::any().into())))
    }
}
