//! The subresource `scale` of a custom resource: how many replicas it wants and has.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::{
    api::{
        change::write,
        merge::{
            patch::Patch,
            target::{Style, Subresource},
        },
        object::meta,
        verbs::{field_validation, request::Request},
    },
    registry::kinds::Scale,
    wire::{
        route::Verb,
        status::{Status, json_response},
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

/// Says what in a `Scale` cannot be read.
fn check(scale: &Value) -> Result<(), String> {
    let replicas = &scale["spec"]["replicas"];
    let fits = replicas.is_null() || replicas.as_i64().is_some_and(|number| i32::try_from(number).is_ok());
    let complaint = "json: cannot unmarshal into Go struct field ScaleSpec.spec.replicas of type int32";
    if fits { Ok(()) } else { Err(complaint.to_owned()) }
}

/// What a real server answers to an apply that changes a scale. One that changes nothing succeeds.
fn refused_apply(wanted: &Value) -> Status {
    let name = format!("{}/{}", meta::text(wanted, "namespace"), meta::text(wanted, "name"));
    let message = format!(
        "failed to convert new object ({name}; {API_VERSION}, Kind=Scale) to proper version: request to convert CR to an \
         invalid group/version: {API_VERSION}"
    );
    Status::failure(StatusCode::INTERNAL_SERVER_ERROR, "", message)
}

impl Request<'_> {
    /// Reads or writes the scale of one object.
    pub(super) fn scale(&self, paths: &Scale) -> Result<Response<Bytes>, Status> {
        self.format()?;
        let target = self.target(Subresource::Scale);
        let stored = match self.info.verb {
            Verb::Get => {
                let found = self.shared.read().find(&self.view.kind.collection, &target.key).cloned();
                found.ok_or_else(|| target.not_found())?
            }
            Verb::Update => {
                self.check_options("UpdateOptions")?;
                let mut wanted = self.body()?;
                if wanted["kind"] != "Scale" || wanted["apiVersion"] != API_VERSION {
                    return Err(Status::bad_request(
                        "the object provided is unrecognized (must be of type Scale of autoscaling/v1)",
                    ));
                }
                check(&wanted).map_err(Status::bad_request)?;
                target.place(&mut wanted)?;
                let change = |current: &Value| Ok(scaled(current, paths, &wanted));
                write::update(&mut self.shared.write(), &target, Style::Derive, change)?
            }
            Verb::Patch => {
                let patch = Patch::read(&self.call, &self.query, &self.view.kind)?;
                let change = |current: &Value| {
                    let scale = scale_of(current, paths);
                    if let Patch::Apply { wanted, .. } = &patch {
                        let said = &wanted["spec"]["replicas"];
                        let same = said.is_null() || *said == scale["spec"]["replicas"];
                        return if same { Ok(current.clone()) } else { Err(refused_apply(wanted)) };
                    }
                    let mut wanted = patch.apply(&target, &scale)?;
                    check(&wanted).map_err(|why| field_validation::refused_patch(&wanted.to_string(), &why))?;
                    target.place(&mut wanted)?;
                    Ok(scaled(current, paths, &wanted))
                };
                write::update(&mut self.shared.write(), &target, Style::Derive, change)?
            }
            _ => return Err(Status::method_not_allowed()),
        };
        Ok(json_response(StatusCode::OK, &scale_of(&self.view.value(&stored), paths)))
    }
}
