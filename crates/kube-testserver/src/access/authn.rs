//! Authentication: which credential a request carries and whose it is.
//!
//! The decision ([`Credentials::identify`]) follows a real API server's chain: a client certificate first, then a bearer
//! token, then anonymous. A credential that is presented and not accepted never makes the request anonymous.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::HeaderMap;
use tokio::time::Instant;

use crate::access::credential::{Credential, Fingerprint, User};

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

/// The bearer token of a request. Another scheme or an empty token counts as none, as on a real server.
pub(crate) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, rest) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    rest.split(' ').next().filter(|token| !token.is_empty())
}

/// The outcome of authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// A credential was accepted.
    Known(User, Fingerprint),
    /// The request has no credential.
    Anonymous,
    /// The credential is unknown, expired or revoked. The answer is 401 for every path.
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

/// The audience of the API server itself, and the issuer of its tokens.
pub(crate) const API_AUDIENCE: &str = "https://kubernetes.default.svc";

/// The service account that a token was issued for. The token is accepted while the account exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceAccount {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: Box<str>,
}

#[derive(Debug, Clone)]
struct Entry {
    user: User,
    /// `None` if nothing is looked up: a certificate, or a token that no account issued.
    account: Option<ServiceAccount>,
    /// The servers that accept the credential.
    audiences: Vec<String>,
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
        let (user, audiences) = (credential.user().clone(), vec![API_AUDIENCE.to_owned()]);
        self.lock().insert(credential.fingerprint(), Entry { user, account: None, audiences, until });
    }

    /// Accepts the token of a service account, for some audiences only.
    pub(crate) fn accept_for(
        &self,
        account: ServiceAccount,
        credential: &Credential,
        audiences: Vec<String>,
        lifetime: Duration,
        now: Instant,
    ) {
        let (user, until) = (credential.user().clone(), now.checked_add(lifetime));
        let mut entries = self.lock();
        // A program may ask for tokens for as long as it runs.
        entries.retain(|_, entry| entry.account.is_none() || entry.until.is_none_or(|until| now < until));
        entries.insert(credential.fingerprint(), Entry { user, account: Some(account), audiences, until });
    }

    /// The service account that a credential was issued for.
    pub(crate) fn account(&self, fingerprint: Fingerprint) -> Option<ServiceAccount> {
        self.lock().get(&fingerprint)?.account.clone()
    }

    /// The audiences of a credential.
    pub(crate) fn audiences(&self, fingerprint: Fingerprint) -> Vec<String> {
        self.lock().get(&fingerprint).map(|entry| entry.audiences.clone()).unwrap_or_default()
    }

    /// Refuses the credential after `grace`, or when it expires, if that is earlier. Returns whether it is known.
    pub(crate) fn revoke(&self, fingerprint: Fingerprint, grace: Duration, now: Instant) -> bool {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(&fingerprint) else { return false };
        if let Some(end) = now.checked_add(grace) {
            entry.until = Some(entry.until.map_or(end, |until| until.min(end)));
        }
        true
    }

    /// Returns the user of a request with these credentials. The certificate comes first, as on a real server.
    pub(crate) fn identify(&self, presented: Presented, now: Instant) -> Identity {
        self.identify_for(&[API_AUDIENCE], presented, now)
    }

    /// As [`identify`](Self::identify), for a credential of one of these audiences.
    pub(crate) fn identify_for(&self, wanted: &[impl AsRef<str>], presented: Presented, now: Instant) -> Identity {
        let entries = self.lock();
        let is_meant =
            |entry: &Entry| wanted.iter().any(|wanted| entry.audiences.iter().any(|is| is == wanted.as_ref()));
        let good = |fingerprint: Fingerprint| {
            let entry = entries
                .get(&fingerprint)
                .filter(|entry| entry.until.is_none_or(|until| now < until) && is_meant(entry))?;
            Some(Identity::Known(entry.user.authenticated(), fingerprint))
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
        Presented { certificate: None, token: Some(credential.fingerprint()) }
    }

    fn known(credential: &Credential) -> Identity {
        Identity::Known(credential.user().authenticated(), credential.fingerprint())
    }

    #[test]
    fn tokens_of_accounts_that_have_expired_are_dropped() {
        let credentials = Credentials::default();
        let start = Instant::now();
        credentials.accept(&token("alice", "t"), Some(HOUR), start);
        for hour in 0..100 {
            let account = ServiceAccount { namespace: "n".into(), name: "a".into(), uid: "1".into() };
            let issued = token("system:serviceaccount:n:a", &hour.to_string());
            credentials.accept_for(account, &issued, vec![API_AUDIENCE.into()], HOUR, start + HOUR * hour);
        }
        assert_eq!(credentials.lock().len(), 2, "the last one, and the one that the test was given");
    }

    #[test]
    fn every_pair_of_presented_credentials_is_decided_like_the_real_chain() {
        let (cert, bearer) = (token("cert-user", "c"), token("token-user", "t"));
        let unknown = Fingerprint::of_token("unknown");
        let now = Instant::now();
        let credentials = Credentials::default();
        credentials.accept(&cert, None, now);
        credentials.accept(&bearer, None, now);
        let (c, t) = (cert.fingerprint(), bearer.fingerprint());
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
        assert_eq!(at(start + HOUR), Identity::Refused(credential.fingerprint()));
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
            assert!(credentials.revoke(credential.fingerprint(), grace, start));
            let at = |moment| credentials.identify(presented(&credential), moment);
            assert_eq!(at(start + end), Identity::Refused(credential.fingerprint()), "{lifetime:?} {grace:?}");
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
}
