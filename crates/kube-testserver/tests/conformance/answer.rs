//! A whole answer of the server as it came: code, headers, body. Nothing here knows what was asked.

use http::HeaderMap;
use serde_json::Value;

/// An answer that has ended.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// Null where the body is no JSON.
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn new(code: u16, headers: HeaderMap, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body).into_owned();
        Self { code, headers, body: serde_json::from_str(&text).unwrap_or_default(), text }
    }

    /// The body, if the code is this one.
    #[track_caller]
    pub(crate) fn expect(self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}", self.text);
        self.body
    }

    /// The Status of a failure, if it has this code and reason and the shape every failure has.
    #[track_caller]
    pub(crate) fn refused(self, code: u16, reason: &str) -> Value {
        assert_eq!((self.code, self.body["reason"].as_str()), (code, Some(reason)), "{}", self.text);
        for (field, expected) in [("kind", "Status"), ("apiVersion", "v1"), ("status", "Failure")] {
            assert_eq!(self.body[field], expected, "{}", self.text);
        }
        assert_eq!(self.body["code"], code, "{}", self.text);
        assert!(self.body["metadata"].is_object(), "{}", self.text);
        self.body
    }
}

/// The fields that the causes of a refusal name.
pub(crate) fn fields(status: &Value) -> Vec<&str> {
    causes(status, "field")
}

/// The machine readable reasons of the causes of a refusal.
pub(crate) fn reasons(status: &Value) -> Vec<&str> {
    causes(status, "reason")
}

fn causes<'a>(status: &'a Value, what: &str) -> Vec<&'a str> {
    status["details"]["causes"].as_array().into_iter().flatten().filter_map(|cause| cause[what].as_str()).collect()
}

/// What the failure says to people.
pub(crate) fn message(status: &Value) -> &str {
    status["message"].as_str().unwrap_or_default()
}
