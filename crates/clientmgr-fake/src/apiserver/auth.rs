//! Authentication: which credential a request carries and who it belongs to.
//!
//! The decision ([`Credentials::identify`]) follows a real API server's chain: a client certificate first, then
//! a bearer token, then anonymous, and a credential that is presented and not accepted is never demoted to
//! anonymous. What a user may do is [`access`](super::access)'s question.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::HeaderMap;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::tls::Issued;

/// Who a request is made as.
///
/// ```
/// use clientmgr_fake::apiserver::User;
///
/// let user = User::new("alice").group("developers");
/// assert_eq!(user.name(), "alice");
/// assert_eq!(User::from("alice").groups(), &[] as &[String]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    name: String,
    uid: Option<String>,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user in no groups but those every authenticated user is in.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), uid: None, groups: Vec::new(), extra: BTreeMap::new() }
    }

    /// Adds a group. `system:authenticated` is added by the server.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// Sets the user's UID, as `SelfSubjectReview` tells it.
    #[must_use]
    pub fn uid(mut self, uid: impl Into<String>) -> Self {
        self.uid = Some(uid.into());
        self
    }

    /// Adds a value to the user's extra attributes.
    #[must_use]
    pub fn extra(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.extra.entry(key.into()).or_default().push(value.into());
        self
    }

    /// The user's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The user's groups, as given.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    pub(crate) fn uid_if_any(&self) -> Option<&str> {
        self.uid.as_deref()
    }

    pub(crate) fn extras(&self) -> &BTreeMap<String, Vec<String>> {
        &self.extra
    }

    pub(crate) fn anonymous() -> Self {
        Self::new("system:anonymous").group("system:unauthenticated")
    }

    fn authenticated(mut self) -> Self {
        let everyone = "system:authenticated";
        if !self.groups.iter().any(|group| group == everyone) {
            self.groups.push(everyone.to_owned());
        }
        self
    }
}

impl From<&str> for User {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for User {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

/// Tells credentials apart without telling them: the SHA-256 of a token or of a certificate.
///
/// It displays as the first 16 hexadecimal digits. Two requests with equal fingerprints were made with the
/// same credential.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a bearer token.
    pub fn of_token(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    pub(crate) fn of_certificate(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// A token or client certificate the server accepts, with the user it stands for.
///
/// It is made by the server ([`issue_token`](super::ApiServer::issue_token),
/// [`issue_certificate`](super::ApiServer::issue_certificate)) and goes into a kubeconfig or a client. Debug
/// output shows the fingerprint and never the secret.
#[derive(Clone)]
pub struct Credential {
    user: User,
    fingerprint: Fingerprint,
    secret: Secret,
}

#[derive(Clone)]
pub(crate) enum Secret {
    Token(String),
    Certificate(Issued),
}

impl Credential {
    pub(crate) fn from_token(user: User, token: String) -> Self {
        Self { user, fingerprint: Fingerprint::of_token(&token), secret: Secret::Token(token) }
    }

    /// A token nobody can guess.
    pub(crate) fn random_token(user: User) -> Self {
        let [a, b] = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(uuid::Uuid::simple);
        Self::from_token(user, format!("{a}{b}"))
    }

    pub(crate) fn from_certificate(user: User, issued: Issued) -> Self {
        Self { user, fingerprint: Fingerprint::of_certificate(&issued.der), secret: Secret::Certificate(issued) }
    }

    /// The user this credential stands for.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// What the request log calls this credential.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The bearer token, if it is one. This is the secret itself.
    pub fn token(&self) -> Option<&str> {
        match &self.secret {
            Secret::Token(token) => Some(token),
            Secret::Certificate(_) => None,
        }
    }

    /// The client certificate as PEM text, if it is one.
    pub fn certificate_pem(&self) -> Option<&str> {
        match &self.secret {
            Secret::Token(_) => None,
            Secret::Certificate(issued) => Some(&issued.certificate_pem),
        }
    }

    /// The client certificate's private key as PEM text, if it is one. This is the secret itself.
    pub fn key_pem(&self) -> Option<&str> {
        match &self.secret {
            Secret::Token(_) => None,
            Secret::Certificate(issued) => Some(&issued.key_pem),
        }
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.secret
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.secret {
            Secret::Token(_) => "token",
            Secret::Certificate(_) => "certificate",
        };
        f.debug_struct("Credential")
            .field("user", &self.user.name)
            .field("kind", &kind)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// The credentials a request carries, as fingerprints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Presented {
    pub(crate) certificate: Option<Fingerprint>,
    pub(crate) token: Option<Fingerprint>,
}

impl Presented {
    /// What the connection's certificate and the request's headers present together.
    pub(crate) fn new(certificate: Option<Fingerprint>, headers: &HeaderMap) -> Self {
        Self { certificate, token: bearer_token(headers).map(Fingerprint::of_token) }
    }
}

/// The bearer token of a request. Another scheme, or an empty token, is as good as none, as it is in the real one.
pub(crate) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, rest) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    rest.split(' ').next().filter(|token| !token.is_empty())
}

/// What authentication made of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// A credential was accepted.
    Known(User, Fingerprint),
    /// None was presented.
    Anonymous,
    /// One was presented and not accepted: unknown, expired or revoked. The answer is 401, whatever the path.
    Refused(Fingerprint),
}

impl Identity {
    pub(crate) fn fingerprint(&self) -> Option<Fingerprint> {
        match self {
            Self::Known(_, fingerprint) | Self::Refused(fingerprint) => Some(*fingerprint),
            Self::Anonymous => None,
        }
    }
}

#[derive(Debug, Clone)]
struct Entry {
    user: User,
    /// Refused from this moment on.
    until: Option<Instant>,
}

/// The credentials one cluster accepts. No secret is kept: a token is known by its fingerprint.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    entries: Mutex<HashMap<Fingerprint, Entry>>,
}

impl Credentials {
    /// Accepts `credential`, for ever or for `lifetime`.
    pub(crate) fn accept(&self, credential: &Credential, lifetime: Option<Duration>, now: Instant) {
        // A lifetime too long for the clock to hold has no end.
        let until = lifetime.and_then(|lifetime| now.checked_add(lifetime));
        let entry = Entry { user: credential.user.clone(), until };
        self.lock().insert(credential.fingerprint, entry);
    }

    /// Refuses the credential `grace` from now; never later than it was going to be refused anyway.
    /// False if the credential is not known.
    pub(crate) fn revoke(&self, fingerprint: Fingerprint, grace: Duration, now: Instant) -> bool {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(&fingerprint) else { return false };
        if let Some(end) = now.checked_add(grace) {
            entry.until = Some(entry.until.map_or(end, |until| until.min(end)));
        }
        true
    }

    /// Who makes a request that presents this. The certificate is looked at first, as in the real chain.
    pub(crate) fn identify(&self, presented: Presented, now: Instant) -> Identity {
        let entries = self.lock();
        let good = |fingerprint: Fingerprint| {
            let entry = entries.get(&fingerprint).filter(|entry| entry.until.is_none_or(|until| now < until))?;
            Some(Identity::Known(entry.user.clone().authenticated(), fingerprint))
        };
        match (presented.certificate, presented.token) {
            (None, None) => Identity::Anonymous,
            (Some(one), None) | (None, Some(one)) => good(one).unwrap_or(Identity::Refused(one)),
            (Some(certificate), Some(token)) => {
                good(certificate).or_else(|| good(token)).unwrap_or(Identity::Refused(token))
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Fingerprint, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn token(user: &str, token: &str) -> Credential {
        Credential::from_token(User::new(user), token.to_owned())
    }

    fn presented(credential: &Credential) -> Presented {
        Presented { certificate: None, token: Some(credential.fingerprint) }
    }

    fn known(credential: &Credential) -> Identity {
        Identity::Known(credential.user.clone().authenticated(), credential.fingerprint)
    }

    #[test]
    fn every_pair_of_presented_credentials_is_decided_like_the_real_chain() {
        let (cert, bearer) = (token("cert-user", "c"), token("token-user", "t"));
        let unknown = Fingerprint::of_token("nobody's");
        let now = Instant::now();
        let credentials = Credentials::default();
        credentials.accept(&cert, None, now);
        credentials.accept(&bearer, None, now);
        let (c, t) = (cert.fingerprint, bearer.fingerprint);
        let table = [
            (None, None, Identity::Anonymous),
            (None, Some(t), known(&bearer)),
            (None, Some(unknown), Identity::Refused(unknown)),
            (Some(c), None, known(&cert)),
            (Some(unknown), None, Identity::Refused(unknown)),
            (Some(c), Some(t), known(&cert)),
            (Some(c), Some(unknown), known(&cert)),
            (Some(unknown), Some(t), known(&bearer)),
            (Some(unknown), Some(unknown), Identity::Refused(unknown)),
        ];
        for (certificate, token, expected) in table {
            let presented = Presented { certificate, token };
            assert_eq!(credentials.identify(presented, now), expected, "{presented:?}");
        }
    }

    #[test]
    fn a_credential_is_refused_from_the_moment_its_life_ends() {
        let credential = token("alice", "a");
        let start = Instant::now();
        let credentials = Credentials::default();
        credentials.accept(&credential, Some(HOUR), start);
        let at = |moment| credentials.identify(presented(&credential), moment);
        assert_eq!(at(start + HOUR - Duration::from_nanos(1)), known(&credential));
        assert_eq!(at(start + HOUR), Identity::Refused(credential.fingerprint));
    }

    #[test]
    fn revoking_shortens_a_life_and_never_prolongs_it() {
        let (credential, start) = (token("alice", "a"), Instant::now());
        for (lifetime, grace, end) in [
            (None, Duration::ZERO, Duration::ZERO),
            (None, HOUR, HOUR),
            (Some(HOUR), 2 * HOUR, HOUR),
            (Some(2 * HOUR), HOUR, HOUR),
        ] {
            let credentials = Credentials::default();
            credentials.accept(&credential, lifetime, start);
            assert!(credentials.revoke(credential.fingerprint, grace, start));
            let at = |moment| credentials.identify(presented(&credential), moment);
            assert_eq!(at(start + end), Identity::Refused(credential.fingerprint), "{lifetime:?} {grace:?}");
            if let Some(before) = end.checked_sub(Duration::from_nanos(1)) {
                assert_eq!(at(start + before), known(&credential), "{lifetime:?} {grace:?}");
            }
        }
    }

    #[test]
    fn revoking_what_was_never_issued_says_so() {
        assert!(!Credentials::default().revoke(Fingerprint::of_token("x"), Duration::ZERO, Instant::now()));
    }

    #[test]
    fn the_bearer_token_is_read_as_the_real_one_reads_it() {
        for (header, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("  Bearer abc ", Some("abc")),
            ("Bearer abc def", Some("abc")),
            ("Bearer ", None),
            ("Bearer", None),
            ("Bearer  abc", None),
            ("Basic abc", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::AUTHORIZATION, HeaderValue::from_static(header));
            assert_eq!(bearer_token(&headers), expected, "{header:?}");
        }
        assert_eq!(bearer_token(&HeaderMap::new()), None);
    }

    #[test]
    fn debug_output_tells_the_fingerprint_and_not_the_token() {
        let shown = format!("{:?}", token("alice", "s3cret"));
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains(&Fingerprint::of_token("s3cret").to_string()), "{shown}");
    }
}
