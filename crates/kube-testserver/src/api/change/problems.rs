//! What is wrong with an object that is written, in the words of a real server.

use serde_json::Value;

use crate::{
    api::{
        merge::target::{Subresource, Target},
        object::{
            core_rules, meta,
            schema::{self, Checked},
            signing_request,
        },
    },
    wire::status::{Cause, Status},
};

/// Refuses a new object that is wrong.
pub(super) fn check_new(target: &Target, object: &Value) -> Result<(), Status> {
    let kind = &target.view.kind;
    let mut causes = custom_problems(target, object, None, || meta::problems(object, kind));
    causes.extend(core_rules::problems(kind, object, None));
    if causes.is_empty() { Ok(()) } else { Err(refused(target, object, &causes)) }
}

/// Refuses an update that is wrong. `forbidden` are its changes of what never changes: a real server checks these twice, and
/// says so.
pub(super) fn check_update(target: &Target, old: &Value, new: &Value, forbidden: &[Cause]) -> Result<(), Status> {
    let kind = &target.view.kind;
    let metadata = || forbidden.iter().cloned().chain(meta::problems_of_update(new, kind)).collect();
    let mut causes = forbidden.to_vec();
    causes.extend(custom_problems(target, new, Some(old), metadata));
    causes.extend(core_rules::problems(kind, new, Some(old)));
    match target.subresource {
        Subresource::EphemeralContainers => causes.extend(core_rules::changed_ephemeral_containers(old, new)),
        Subresource::Status if signing_request::is_one(kind) => {
            causes.extend(signing_request::added_decisions(old, new));
        }
        _ => {}
    }
    if causes.is_empty() { Ok(()) } else { Err(refused(target, new, &causes)) }
}

/// What is wrong with the metadata, and what the schema of a custom resource finds wrong. One of another type is checked in
/// part only.
fn custom_problems(
    target: &Target,
    object: &Value,
    old: Option<&Value>,
    metadata: impl FnOnce() -> Vec<Cause>,
) -> Vec<Cause> {
    let kind = &target.view.kind;
    if !kind.custom {
        return metadata();
    }
    let mut causes = type_problems(target, object);
    let is_known = causes.is_empty();
    if is_known {
        causes = metadata();
    }
    let version = &kind.versions[target.view.version];
    let checked = Checked { is_known, status: target.subresource == Subresource::Status };
    let found = schema::problems(version, object, old, &causes, checked);
    causes.extend(found);
    causes
}

/// What says of a custom resource that it has another type.
fn type_problems(target: &Target, object: &Value) -> Vec<Cause> {
    let kind = &target.view.kind;
    let stored = kind.storage_api_version();
    let known = [("kind", kind.kind.as_str(), kind.kind.clone()), ("apiVersion", &*stored, target.view.api_version())];
    let wrong = known.into_iter().filter_map(|(field, known, wanted)| {
        let said = object[field].as_str().filter(|said| *said != known)?;
        Some(Cause::invalid(field, said, &format!("must be {wanted}")))
    });
    wrong.collect()
}

/// 422 for an object, under the type that it says it has.
fn refused(target: &Target, object: &Value, causes: &[Cause]) -> Status {
    let kind = &target.view.kind;
    let version = object["apiVersion"].as_str().unwrap_or_default();
    if kind.custom && version != kind.storage_api_version() {
        let group = version.split_once('/').map_or("", |(group, _)| group);
        return Status::invalid(group, object["kind"].as_str().unwrap_or_default(), &target.key.name, causes);
    }
    let said = object["kind"].as_str().filter(|_| kind.custom).unwrap_or(&kind.kind);
    Status::invalid(&kind.group, said, &target.key.name, causes)
}
