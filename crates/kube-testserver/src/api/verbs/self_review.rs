//! `SelfSubjectReview`: who the caller is.

use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    api::object::meta,
    wire::{call::Caller, status},
};

/// What `SelfSubjectReview` answers.
pub(super) fn self_subject_review(caller: &Caller, now: Timestamp) -> Response<Bytes> {
    let mut user = json!({"username": caller.username, "groups": caller.groups});
    if let Some(uid) = &caller.uid {
        user["uid"] = uid.as_str().into();
    }
    if !caller.extra.is_empty() {
        let extra: Map<String, Value> =
            caller.extra.iter().map(|(key, values)| (key.clone(), values.clone().into())).collect();
        user["extra"] = extra.into();
    }
    let review = json!({
        "kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": meta::time(now)}, "status": {"userInfo": user},
    });
    status::json_response(StatusCode::CREATED, &review)
}
