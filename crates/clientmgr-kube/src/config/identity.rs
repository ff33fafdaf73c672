//! [`ClusterIdentity`]: which cluster it is, whatever its address and credentials; and [`Incarnation`], an identity with
//! its revision. What must not live here: asking a cluster for it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use clientmgr_core::ConnectedAt;
use http::Uri;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// How the text of an identity begins that stands for an address.
const ADDRESS: &str = "address-sha256:";

/// The longest UID that is taken.
const UID_LIMIT: usize = 128;

/// The identity of a cluster. Two clusters never have the same one, and a cluster keeps its own when its address, certificates
/// and credentials change.
///
/// This is the UID of the namespace `kube-system`. Where that cannot be read, a hash of the server's URL and its
/// certificate authority stands in; such an identity changes with either.
///
/// The text round-trips, so a status or an annotation can hold it. It is this text for serde too and, with the feature
/// `schemars`, a string in a schema. So a status holds an `Option<ClusterIdentity>`.
///
/// # Examples
///
/// ```
/// use clientmgr_kube::ClusterIdentity;
///
/// let identity: ClusterIdentity = "0b1cb3f0-9d36-4b07-b8f2-2c40a5b8f6a1".parse()?;
/// assert_eq!(identity.to_string(), "0b1cb3f0-9d36-4b07-b8f2-2c40a5b8f6a1");
/// assert!(!identity.is_by_address());
/// # Ok::<_, clientmgr_kube::InvalidIdentity>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterIdentity(Arc<str>);

/// The error of parsing a text as a [`ClusterIdentity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an identity of a cluster: give the UID of its namespace kube-system")]
pub struct InvalidIdentity(());

impl ClusterIdentity {
    /// Returns the identity by the UID of the namespace `kube-system`, unless that is no UID.
    pub(crate) fn by_uid(uid: &str) -> Option<Self> {
        uid.parse().ok().filter(|identity: &Self| !identity.is_by_address())
    }

    /// Returns the identity that stands in where the UID cannot be read.
    pub(crate) fn by_address(server: &Uri, certificate_authority: Option<&[Vec<u8>]>) -> Self {
        let mut hash = Sha256::new();
        let scheme = server.scheme_str().unwrap_or_default();
        let port = server.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 });
        let host = server.host().unwrap_or_default().to_ascii_lowercase();
        hash.update(format!("{scheme}://{host}:{port}{}", server.path().trim_end_matches('/')));
        // A set: a bundle says the same in another order.
        let authorities: BTreeSet<_> = certificate_authority.unwrap_or_default().iter().map(Sha256::digest).collect();
        for authority in authorities {
            hash.update([0]);
            hash.update(authority);
        }
        Self(format!("{ADDRESS}{:x}", hash.finalize()).into())
    }

    /// Returns whether the server's URL and certificate authority stand in for the UID of `kube-system`.
    pub fn is_by_address(&self) -> bool {
        self.0.starts_with(ADDRESS)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClusterIdentity {
    type Err = InvalidIdentity;

    fn from_str(text: &str) -> Result<Self, InvalidIdentity> {
        let is_lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_valid = match text.strip_prefix(ADDRESS) {
            Some(hash) => hash.len() == 64 && hash.bytes().all(is_lower_hex),
            None => (1..=UID_LIMIT).contains(&text.len()) && text.bytes().all(is_in_uid),
        };
        if is_valid { Ok(Self(text.into())) } else { Err(InvalidIdentity(())) }
    }
}

/// Whether a UID may have `byte` in it. Kubernetes makes UUIDs; other servers may not.
fn is_in_uid(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

impl fmt::Display for ClusterIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClusterIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterIdentity({})", self.0)
    }
}

impl Serialize for ClusterIdentity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ClusterIdentity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for ClusterIdentity {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ClusterIdentity".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

/// A cluster and the revision under which it is known: what a status keeps, so that a restart resets nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Incarnation {
    /// Which cluster it is.
    pub identity: ClusterIdentity,
    /// When this incarnation of the cluster was first connected.
    pub revision: ConnectedAt,
}

/// Whether a process gives new incarnations of a cluster their revisions, or only adopts them.
///
/// Where several processes work on a cluster, only the one that writes the cluster object's status names its
/// incarnations. The others adopt what the status says: so no two of them serve one cluster under two revisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Naming {
    /// A cluster that is not the [known incarnation](crate::ClusterConfig::with_incarnation) gets a new revision.
    #[default]
    Mint,
    /// A cluster that is not the known incarnation is connected and not served. Readers get an error of the kind
    /// [`UnknownIncarnation`](crate::ConnectErrorKind::UnknownIncarnation), and the [snapshot](crate::ClusterSnapshot)
    /// shows which cluster answers. Once that one is given as the known incarnation, it is served at once.
    AdoptOnly,
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::ClusterIdentity;

    fn by_address(server: &'static str, certificate_authority: Option<&[Vec<u8>]>) -> ClusterIdentity {
        ClusterIdentity::by_address(&Uri::from_static(server), certificate_authority)
    }

    #[test]
    fn an_identity_round_trips_through_its_text() {
        let by_uid = ClusterIdentity::by_uid("0b1cb3f0-9d36-4b07-b8f2-2c40a5b8f6a1").unwrap();
        let by_address = by_address("https://east.example.com", None);
        for identity in [by_uid, by_address] {
            assert_eq!(identity.to_string().parse(), Ok(identity));
        }
    }

    #[test]
    fn an_identity_in_a_status_is_its_text() {
        let identity = by_address("https://east.example.com", None);
        let written = serde_json::to_value(&identity).unwrap();
        assert_eq!(written, identity.to_string());
        assert_eq!(serde_json::from_value::<ClusterIdentity>(written).unwrap(), identity);
        let refused = serde_json::from_value::<ClusterIdentity>("a b".into()).unwrap_err();
        assert!(refused.to_string().contains("the UID of its namespace kube-system"), "{refused}");
        #[cfg(feature = "schemars")]
        {
            let schema = schemars::SchemaGenerator::default().into_root_schema_for::<ClusterIdentity>();
            assert_eq!(schema.get("type"), Some(&"string".into()));
        }
    }

    #[test]
    fn a_text_that_is_no_identity_is_refused() {
        let long = "x".repeat(129);
        for text in ["", " ", "a b", "a\nb", "ü", "address-sha256:", "address-sha256:XYZ", "sha256:00", &long] {
            assert!(text.parse::<ClusterIdentity>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_uid_never_passes_for_an_address() {
        let by_address = by_address("https://east.example.com", None);
        assert!(by_address.is_by_address());
        assert_eq!(ClusterIdentity::by_uid(by_address.as_str()), None);
    }

    #[test]
    fn an_address_is_the_same_however_it_is_written() {
        let written = ["https://east.example.com", "HTTPS://EAST.example.com/", "https://east.example.com:443"];
        for server in written {
            assert_eq!(by_address(server, None), by_address(written[0], None), "{server}");
        }
    }

    #[test]
    fn another_server_or_certificate_authority_is_another_identity() {
        let all = [
            by_address("https://east.example.com", None),
            by_address("https://east.example.com", Some(&[vec![1]])),
            by_address("https://east.example.com", Some(&[vec![1], vec![2]])),
            by_address("https://east.example.com", Some(&[vec![1, 2]])),
            by_address("https://east.example.com/east", None),
            by_address("https://east.example.com:6443", None),
            by_address("http://east.example.com:443", None),
            by_address("https://west.example.com", None),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
