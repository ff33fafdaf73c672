//! The `ExecCredential` that a credential plugin prints: read, and checked for what can be used. No I/O.

use jiff::Timestamp;
use jiff::fmt::temporal::Pieces;
use kube::config::Kubeconfig;
use secrecy::SecretString;
use serde_json::Value;

use super::issued::{Identity, Issued};
use super::token::Token;
use crate::error::PluginError;

/// What a plugin printed, as far as it is known to be an object.
pub(crate) struct Document(Kubeconfig);

impl Document {
    /// Reads JSON, which takes no longer than it takes to look at each byte.
    pub(crate) fn from_json(printed: &[u8]) -> Option<Self> {
        serde_json::from_slice(printed).ok().map(Self)
    }

    /// Reads YAML, since kubectl does too. A small document can keep its reader busy for long.
    pub(crate) fn from_yaml(printed: &[u8]) -> Option<Self> {
        // kube's reader of kubeconfigs is a reader of YAML that keeps the fields it does not know.
        Kubeconfig::from_yaml(std::str::from_utf8(printed).ok()?).ok().map(Self)
    }

    /// What the plugin named `command`, asked for `version`, issued.
    pub(crate) fn into_issued(self, command: &str, version: Option<&str>) -> Result<Issued, PluginError> {
        let named = || command.to_owned();
        let garbage = || PluginError::Garbage { command: named() };
        let Kubeconfig { kind, api_version, other, .. } = self.0;
        if kind.as_deref() != Some("ExecCredential") {
            return Err(PluginError::NoCredential { command: named() });
        }
        if api_version.as_deref() != version {
            return Err(PluginError::OtherVersion { command: named() });
        }
        let text = |field: &str| match other.get("status").and_then(|status| status.get(field)) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(garbage()),
        };
        let token = text("token")?.map(|token| Token::new(&SecretString::from(token))).transpose();
        let token = token.map_err(|source| PluginError::Token { command: named(), source })?;
        let identity = match (text("clientCertificateData")?, text("clientKeyData")?) {
            (Some(certificate), Some(key)) => Some(Identity::new(certificate, key)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(garbage()),
        };
        let expires = match text("expirationTimestamp")? {
            Some(text) => Some(time(text).ok_or_else(|| PluginError::NoTime { command: named() })?),
            None => None,
        };
        if token.is_none() && identity.is_none() {
            return Err(garbage());
        }
        Ok(Issued { token, identity, expires })
    }
}

/// A time by RFC 3339. The last hours of the year 9999, which are written for "never", are later than a [`Timestamp`]
/// can be: they become the latest one.
fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| {
        let pieces = Pieces::parse(text).ok()?;
        let is_complete = pieces.time().is_some() && pieces.to_numeric_offset().is_some();
        (is_complete && pieces.date().year() == 9999).then_some(Timestamp::MAX)
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::time;

    #[test]
    fn a_time_that_means_never_is_the_latest_there_is() {
        for never in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59-01:00"] {
            assert_eq!(time(never), Some(Timestamp::MAX), "{never}");
        }
        let known =
            ["2100-01-01T00:00:00Z", "9999-12-30T00:00:00Z", "0001-01-01T00:00:00Z", "2100-01-01T00:00:00+02:00"];
        for text in known {
            assert_eq!(time(text), Some(text.parse().unwrap()), "{text}");
        }
        for text in
            ["tomorrow", "", "9999-12-31", "9999-12-31T23:59:59", "9999-13-31T23:59:59Z", "10000-01-01T00:00:00Z"]
        {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
