//! [`ConnectedAt`] in a status: serde (feature `serde`) and JSON Schema (feature `schemars`).

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::connected_at::ConnectedAt;

impl Serialize for ConnectedAt {
    /// Writes RFC 3339 in UTC with exactly six digits, the only form of a `MicroTime` that kube-apiserver accepts.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ConnectedAt {
    /// Reads any RFC 3339 time but the Unix epoch, and cuts it to microseconds.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Rfc3339)
    }
}

struct Rfc3339;

impl Visitor<'_> for Rfc3339 {
    type Value = ConnectedAt;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an RFC 3339 time other than the Unix epoch")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ConnectedAt, E> {
        text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for ConnectedAt {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ConnectedAt".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use crate::connected_at::ConnectedAt;

    fn read(text: &str) -> serde_json::Result<ConnectedAt> {
        serde_json::from_value(text.into())
    }

    #[test]
    fn six_digits_are_written_and_read_back() {
        for micros in [1, 1_000_000, 1_795_000_000_123_456] {
            let revision = ConnectedAt::from_unix_micros(micros).unwrap();
            let written = serde_json::to_value(revision).unwrap();
            assert_eq!(written.as_str().unwrap().split_once('.').unwrap().1.len(), "123456Z".len());
            assert_eq!(serde_json::from_value::<ConnectedAt>(written).unwrap(), revision);
        }
    }

    #[test]
    fn any_rfc_3339_time_is_read() {
        let noon = read("2026-11-22T12:00:00.000000Z").unwrap();
        assert_eq!(read("2026-11-22T12:00:00Z").unwrap(), noon);
        assert_eq!(read("2026-11-22T13:00:00.0000009+01:00").unwrap(), noon);
    }

    #[test]
    fn what_is_not_a_revision_is_refused_with_the_text() {
        for text in ["", "noon", "1970-01-01T00:00:00Z"] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")) && error.contains("RFC 3339"), "{error}");
        }
        assert!(serde_json::from_str::<ConnectedAt>("12").is_err());
    }

    #[cfg(feature = "schemars")]
    #[test]
    fn the_schema_is_a_string_of_format_date_time() {
        let schema = schemars::SchemaGenerator::default().into_root_schema_for::<ConnectedAt>();
        assert_eq!(schema.get("type"), Some(&"string".into()));
        assert_eq!(schema.get("format"), Some(&"date-time".into()));
    }
}
