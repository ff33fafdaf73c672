//! The subresource `scale` of a custom resource: how many replicas it wants and has.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::{
    api::{
        change::write,
        merge::{
            patch::Patch,
            target::{Style, Subresource, Target},
        },
        object::meta,
        verbs::request::Request,
    },
    registry::kinds::Scale,
    wire::{
        route::Verb,
        status::{Cause, Status, json_response},
    },
};

const API_VERSION: &str = "autoscaling/v1";

/// What an object shows of itself as a `Scale`.
fn scale_of(object: &Value, paths: &Scale) -> Value {
    let metadata = &object["metadata"];
    let mut scale = json!({"kind": "Scale", "apiVersion": API_VERSION, "metadata": {}, "spec": {}, "status": {}});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = metadata.get(field) {
            scale["metadata"][field] = value.clone();
        }
    }
    let number = |path: &str| object.pointer(&pointer(path)).and_then(Value::as_i64).unwrap_or(0);
    let wanted = number(&paths.spec_replicas);
    if wanted != 0 {
        scale["spec"]["replicas"] = wanted.into();
    }
    scale["status"]["replicas"] = number(&paths.status_replicas).into();
    let selector = paths.label_selector.as_ref().and_then(|path| object.pointer(&pointer(path))?.as_str());
    if let Some(selector) = selector.filter(|selector| !selector.is_empty()) {
        scale["status"]["selector"] = selector.into();
    }
    scale
}

/// `.spec.replicas` as a JSON pointer.
fn pointer(path: &str) -> String {
    path.replace('.', "/")
}

/// The object with what a `Scale` wants of it.
fn scaled(object: &Value, paths: &Scale, scale: &Value) -> Value {
    let mut object = object.clone();
    let mut place = &mut object;
    for field in paths.spec_replicas.trim_start_matches('.').split('.') {
        place = meta::map_of(place).entry(field).or_insert(Value::Null);
    }
    *place = scale["spec"]["replicas"].as_i64().unwrap_or(0).into();
    let version = scale["metadata"]["resourceVersion"].clone();
    meta::metadata_mut(&mut object).insert("resourceVersion".to_owned(), version);
    object
}

fn check(scale: &Value, target: &Target) -> Result<(), Status> {
    let replicas = &scale["spec"]["replicas"];
    let number = replicas.as_i64().filter(|number| i32::try_from(*number).is_ok());
    if !replicas.is_null() && number.is_none() {
        return Err(Status::bad_request(
            "Scale in version \"v1\" cannot be handled as a Scale: json: cannot unmarshal into Go struct field \
             ScaleSpec.spec.replicas of type int32",
        ));
    }
    match number.filter(|number| *number < 0) {
        Some(number) => {
            let cause = Cause::invalid_raw("spec.replicas", &number.to_string(), "must be greater than or equal to 0");
            Err(Status::invalid("autoscaling", "Scale", &target.key.name, &[cause]))
        }
        None => Ok(()),
    }
}

impl Request<'_> {
    /// Reads or writes the scale of one object.
    pub(super) fn scale(&self, paths: &Scale) -> Result<Response<Bytes>, Status> {
        let target = self.target(Subresource::Scale, "UpdateOptions")?;
        let stored = match self.info.verb {
            Verb::Get => {
                let found = self.shared.read().find(&self.view.kind.collection, &target.key).cloned();
                found.ok_or_else(|| target.not_found())?
            }
            Verb::Update => {
                let wanted = self.body()?;
                if wanted["kind"] != "Scale" || wanted["apiVersion"] != API_VERSION {
                    return Err(Status::bad_request(
                        "the object provided is unrecognized (must be of type Scale of autoscaling/v1)",
                    ));
                }
                check(&wanted, &target)?;
                let change = |current: &Value| Ok(scaled(current, paths, &wanted));
                write::update(&mut self.shared.write(), &target, Style::Derive, change)?
            }
            Verb::Patch => {
                let patch = Patch::read(&self.call, &self.query, &self.view.kind)?;
                if matches!(patch, Patch::Apply { .. }) {
                    return Err(Status::not_implemented("an apply of the scale subresource"));
                }
                let change = |current: &Value| {
                    let wanted = patch.apply(&target, &scale_of(current, paths))?;
                    check(&wanted, &target)?;
                    Ok(scaled(current, paths, &wanted))
                };
                write::update(&mut self.shared.write(), &target, Style::Derive, change)?
            }
            _ => return Err(Status::method_not_allowed()),
        };
        Ok(json_response(StatusCode::OK, &scale_of(&self.view.value(&stored), paths)))
    }
}
