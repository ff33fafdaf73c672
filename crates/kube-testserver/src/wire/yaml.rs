//! Bodies in YAML.

use serde_json::Value;

use crate::wire::status::Status;

/// Reads YAML (of which JSON is a part).
pub(crate) fn read(text: &str) -> Result<Value, Status> {
    // JSON is what nearly every client sends, and is read much faster.
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    serde_saphyr::from_str(text)
        .map_err(|error| Status::bad_request(format!("error decoding YAML: error converting YAML to JSON: {error}")))
}
