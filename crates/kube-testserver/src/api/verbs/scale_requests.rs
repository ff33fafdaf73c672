//! The subresource `scale` of a custom resource: how many replicas it wants and has.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::{
    api::{
        change::write,
        merge::{
            patch::Patch,
            scale_fields::{self, API_VERSION},
            target::{Style, Subresource, Target},
        },
        object::meta,
        verbs::{field_validation, request::Request},
    },
    registry::kinds::Scale,
    wire::{
        negotiate::Format,
        route::Verb,
        status::{Status, json_response},
    },
};

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
    let wanted = replicas(object, paths).unwrap_or(0);
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

/// The replicas that an object wants.
fn replicas(object: &Value, paths: &Scale) -> Option<i64> {
    object.pointer(&pointer(&paths.spec_replicas)).and_then(Value::as_i64)
}

/// `.spec.replicas` as a JSON pointer.
fn pointer(path: &str) -> String {
    path.replace('.', "/")
}

/// The object with what a `Scale` wants of it.
fn updated(current: &Value, paths: &Scale, scale: &Value, target: &Target) -> Value {
    let mut object = current.clone();
    let wanted = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    let mut place = &mut object;
    for field in paths.spec_replicas.trim_start_matches('.').split('.') {
        place = meta::map_of(place).entry(field).or_insert(Value::Null);
    }
    *place = wanted.into();
    let version = scale["metadata"]["resourceVersion"].clone();
    meta::metadata_mut(&mut object).insert("resourceVersion".to_owned(), version);
    scale_fields::record_update(&mut object, target, replicas(current, paths), wanted);
    object
}

/// Says what in a `Scale` cannot be read.
fn check(scale: &Value) -> Result<(), String> {
    let replicas = &scale["spec"]["replicas"];
    let fits = replicas.is_null() || replicas.as_i64().is_some_and(|number| i32::try_from(number).is_ok());
    let complaint = "json: cannot unmarshal into Go struct field ScaleSpec.spec.replicas of type int32";
    if fits { Ok(()) } else { Err(complaint.to_owned()) }
}

impl Request<'_> {
    /// Reads or writes the scale of one object.
    pub(super) fn scale(&self, paths: &Scale) -> Result<Response<Bytes>, Status> {
        let format = self.format()?;
        let target = self.target(Subresource::Scale);
        let stored = match self.info.verb {
            Verb::Get => {
                let found = self.shared.read().find(&self.view.kind.collection, &target.key).cloned();
                found.ok_or_else(|| target.not_found())?
            }
            Verb::Update => {
                self.check_options("UpdateOptions")?;
                let mut wanted = self.body()?;
                let is = |field: &str, known: &str| {
                    matches!(wanted[field].as_str(), None | Some("")) || wanted[field] == known
                };
                if !is("kind", "Scale") || !is("apiVersion", API_VERSION) {
                    return Err(Status::bad_request(
                        "the object provided is unrecognized (must be of type Scale of autoscaling/v1)",
                    ));
                }
                check(&wanted).map_err(Status::bad_request)?;
                target.place(&mut wanted)?;
                let change = |current: &Value| Ok(updated(current, paths, &wanted, &target).into());
                write::update(&mut self.shared.write(), &target, Style::Apply, change)?
            }
            Verb::Patch => {
                let patch = Patch::read(&self.call, &self.query, &self.view.kind)?;
                let change = |current: &Value| {
                    let scale = scale_of(current, paths);
                    if let Patch::Apply { wanted, force } = &patch {
                        let mut object = current.clone();
                        let replicas = replicas(current, paths).unwrap_or(0);
                        scale_fields::record_apply(&mut object, &target, wanted, *force, replicas)?;
                        return Ok(object.into());
                    }
                    let mut wanted = patch.apply(&target, &scale)?;
                    check(&wanted).map_err(|why| field_validation::refused_patch(&wanted.to_string(), &why))?;
                    target.place(&mut wanted)?;
                    if replicas(current, paths).is_none() && wanted["spec"]["replicas"].is_null() {
                        let path = &paths.spec_replicas;
                        return Err(Status::bad_request(format!("the spec replicas field {path:?} cannot be empty")));
                    }
                    Ok(updated(current, paths, &wanted, &target).into())
                };
                write::update(&mut self.shared.write(), &target, Style::Apply, change)?
            }
            _ => return Err(Status::method_not_allowed()),
        };
        let value = self.view.value(&stored);
        if self.info.verb == Verb::Get && replicas(&value, paths).is_none() {
            let path = &paths.spec_replicas;
            return Err(Status::internal(format!("the spec replicas field {path:?} does not exist")));
        }
        let mut scale = scale_of(&value, paths);
        if format == Format::Metadata {
            let metadata = scale["metadata"].take();
            scale = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata});
        }
        Ok(json_response(StatusCode::OK, &scale))
    }
}
