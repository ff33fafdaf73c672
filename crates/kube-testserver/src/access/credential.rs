//! Users, and the credentials that prove who they are: tokens and client certificates, identified by fingerprints. Whether
//! a credential is accepted is decided in `authn`.

use std::{collections::BTreeMap, fmt};

use sha2::{Digest, Sha256};

use crate::pki::issued::Issued;

/// The user of a request.
///
/// ```
/// use kube_testserver::User;
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
    /// Returns a user with only the groups that every authenticated user has.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), uid: None, groups: Vec::new(), extra: BTreeMap::new() }
    }

    /// Adds a group. The server adds `system:authenticated`.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// Sets the user's UID, which `SelfSubjectReview` returns.
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

    /// Returns the user's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the groups that were added.
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

    /// The user as the API sees an authenticated one.
    pub(crate) fn authenticated(&self) -> Self {
        let everyone = "system:authenticated";
        let mut user = self.clone();
        if !user.groups.iter().any(|group| group == everyone) {
            user.groups.push(everyone.to_owned());
        }
        user
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

/// An identifier of a credential that does not reveal it: the SHA-256 of the token or the certificate.
///
/// It displays as the first 16 hexadecimal digits. Two requests with equal fingerprints were made with the
/// same credential.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Returns the fingerprint of a bearer token.
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

/// A token or client certificate the server accepts, with its user.
///
/// The server makes it ([`issue_token`](crate::TestServer::issue_token),
/// [`issue_certificate`](crate::TestServer::issue_certificate)); a kubeconfig or a client uses it. Its debug output has the
/// fingerprint, not the secret.
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

    /// A random token.
    pub(crate) fn random_token(user: User) -> Self {
        let [a, b] = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(uuid::Uuid::simple);
        Self::from_token(user, format!("{a}{b}"))
    }

    pub(crate) fn from_certificate(user: User, issued: Issued) -> Self {
        Self { user, fingerprint: Fingerprint::of_certificate(&issued.der), secret: Secret::Certificate(issued) }
    }

    /// Returns the user of this credential.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Returns the fingerprint, which identifies this credential in the request log.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Returns the bearer token, or `None` for a certificate. The token is a secret.
    pub fn token(&self) -> Option<&str> {
        match &self.secret {
            Secret::Token(token) => Some(token),
            Secret::Certificate(_) => None,
        }
    }

    /// Returns the client certificate as PEM text, or `None` for a token.
    pub fn certificate_pem(&self) -> Option<&str> {
        match &self.secret {
            Secret::Token(_) => None,
            Secret::Certificate(issued) => Some(&issued.certificate_pem),
        }
    }

    /// Returns the client certificate's private key as PEM text, or `None` for a token. The key is a secret.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_has_the_fingerprint_and_not_the_token() {
        let shown = format!("{:?}", Credential::from_token(User::new("alice"), "s3cret".to_owned()));
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains(&Fingerprint::of_token("s3cret").to_string()), "{shown}");
    }
}
