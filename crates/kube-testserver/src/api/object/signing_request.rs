//! Certificate signing requests: who asks, what may be asked, and who approves. Nothing here signs them.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    api::object::meta,
    registry::kinds::Kind,
    wire::{call::Caller, status::Cause},
};

/// The conditions that the subresource `approval` alone changes.
const DECISIONS: [&str; 2] = ["Approved", "Denied"];

/// The conditions that stay, and are never other than true.
const LASTING: [&str; 3] = ["Approved", "Denied", "Failed"];

/// Whether the kind is that of signing requests.
pub(crate) fn is_one(kind: &Kind) -> bool {
    kind.is("certificates.k8s.io", "certificatesigningrequests")
}

/// Records the user who asks.
pub(crate) fn sign_with(caller: &Caller, object: &mut Value) {
    let spec = meta::object_at(object, "spec");
    spec.insert("username".to_owned(), caller.username.as_str().into());
    spec.insert("groups".to_owned(), caller.groups.clone().into());
    for field in ["uid", "extra"] {
        spec.remove(field);
    }
    if let Some(uid) = &caller.uid {
        spec.insert("uid".to_owned(), uid.as_str().into());
    }
    if !caller.extra.is_empty() {
        spec.insert("extra".to_owned(), json!(caller.extra));
    }
}

/// What is wrong with a request. The certificate that it asks for is not read.
pub(crate) fn problems(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let spec = &object["spec"];
    let mut causes = old.map(|old| problems_of_update(old, object)).unwrap_or_default();
    let bytes = BASE64_STANDARD.decode(spec["request"].as_str().unwrap_or_default()).unwrap_or_default();
    if !bytes.starts_with(b"-----BEGIN CERTIFICATE REQUEST-----") {
        let rule = "PEM block type must be CERTIFICATE REQUEST";
        causes.push(Cause::invalid_raw("spec.request", &spec["request"].to_string(), rule));
    }
    if spec["usages"].as_array().is_none_or(Vec::is_empty) {
        causes.push(Cause::required("spec.usages", ""));
    }
    if spec["signerName"].as_str().unwrap_or_default().is_empty() {
        causes.push(Cause::required("spec.signerName", ""));
    }
    causes
}

fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    object["status"]["conditions"].as_array().into_iter().flatten()
}

fn is_decision(condition: &Value) -> bool {
    condition["type"].as_str().is_some_and(|kind| DECISIONS.contains(&kind))
}

/// The old request with the new conditions. A request that failed stays so.
pub(crate) fn approved(old: &Value, new: &Value, now: Timestamp) -> Value {
    let has_failed = |condition: &&Value| condition["type"] == "Failed";
    let mut decided: Vec<Value> = conditions(new).filter(|condition| !has_failed(condition)).cloned().collect();
    for condition in &mut decided {
        for field in ["lastUpdateTime", "lastTransitionTime"] {
            if condition[field].is_null() {
                condition[field] = meta::time(now);
            }
        }
    }
    decided.extend(conditions(old).filter(has_failed).cloned());
    let mut whole = old.clone();
    meta::object_at(&mut whole, "status").insert("conditions".to_owned(), decided.into());
    if let Some(managed) = new["metadata"].get("managedFields") {
        whole["metadata"]["managedFields"] = managed.clone();
    }
    whole
}

/// What an update may not do to the conditions: remove a state that is for ever, decide both ways, or say nothing.
fn problems_of_update(old: &Value, new: &Value) -> Vec<Cause> {
    const FIELD: &str = "status.conditions";
    let has = |object: &Value, kind: &str| conditions(object).any(|condition| condition["type"] == kind);
    let lost = LASTING.iter().filter(|kind| has(old, kind) && !has(new, kind));
    let mut causes: Vec<Cause> = lost
        .map(|kind| Cause::forbidden(FIELD, &format!("updates may not remove a condition of type {kind:?}")))
        .collect();
    for (at, condition) in conditions(new).enumerate() {
        let status = condition["status"].as_str().unwrap_or_default();
        let lasts = condition["type"].as_str().is_some_and(|kind| LASTING.contains(&kind));
        let allowed: &[&str] = if lasts { &["True"] } else { &["False", "True", "Unknown"] };
        let field = format!("{FIELD}[{at}].status");
        if status.is_empty() {
            causes.push(Cause::required(field, ""));
        } else if !allowed.contains(&status) {
            causes.push(Cause::not_supported(field, status, allowed));
        }
    }
    if let Some(second) = conditions(new).filter(|condition| is_decision(condition)).nth(1)
        && DECISIONS.iter().all(|kind| has(new, kind))
        && !DECISIONS.iter().all(|kind| has(old, kind))
    {
        let kind = second["type"].as_str().unwrap_or_default();
        causes.push(Cause::invalid(FIELD, kind, "Approved and Denied conditions are mutually exclusive"));
    }
    causes
}

/// The decisions that a write of the status adds.
pub(crate) fn added_decisions(old: &Value, new: &Value) -> Vec<Cause> {
    let is_old = |condition: &&Value| conditions(old).any(|known| known["type"] == condition["type"]);
    let added = conditions(new).filter(|condition| is_decision(condition) && !is_old(condition));
    let rule = |condition: &Value| format!("updates may not add a condition of type {}", condition["type"]);
    added.map(|condition| Cause::forbidden("status.conditions", &rule(condition))).collect()
}

/// Keeps the decision, which a write of the status may not change.
pub(crate) fn keep_approval(old: &Value, new: &mut Value) {
    let others = conditions(new).filter(|condition| !is_decision(condition)).cloned();
    let kept: Vec<Value> = conditions(old).filter(|condition| is_decision(condition)).cloned().chain(others).collect();
    if !kept.is_empty() {
        meta::object_at(new, "status").insert("conditions".to_owned(), kept.into());
    }
}
