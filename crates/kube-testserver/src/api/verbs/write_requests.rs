//! The verbs that write: what a body brings, and the way of each into the store.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::{
    api::{
        change::{
            delete::{self, DeleteOptions, Deletion},
            write,
        },
        merge::{
            patch::{self, Patch},
            target::{Style, Subresource, Target},
        },
        object::{core_rules, go_values, meta, schema, signing_request},
        present::list,
        store::objects::{Draft, Key, Store},
        verbs::{field_validation, request::Request},
    },
    registry::{kinds::Kind, structural::compiled_rules::unsupported},
    wire::{
        negotiate::{self, Format},
        object_body, protobuf,
        route::truthy,
        status::{Status, json_response, success},
    },
};

/// What is made by an update or an apply may say a version, which the storage drops. A create may not.
fn unversioned(mut draft: Draft, target: &Target) -> Result<Draft, Status> {
    write::parse_version(meta::text(&draft.object, "resourceVersion"))?;
    if !target.dry_run {
        meta::metadata_mut(&mut draft.object).remove("resourceVersion");
    }
    Ok(draft)
}

/// Whether a schema declares rules, at any depth.
fn has_rules(value: &Value) -> bool {
    match value {
        Value::Object(map) => {
            let declared = map.get("x-kubernetes-validations").and_then(Value::as_array);
            declared.is_some_and(|rules| !rules.is_empty()) || map.values().any(has_rules)
        }
        Value::Array(list) => list.iter().any(has_rules),
        _ => false,
    }
}

/// Where an object comes from. Each source has its own words for an object that cannot be read.
enum Source<'a> {
    Body,
    Patch,
    /// With the patch that was sent.
    StrategicPatch(&'a Value),
    /// With what the manager applies.
    Apply(&'a Target, &'a Value),
}

impl Source<'_> {
    fn refuse(&self, request: &Request<'_>, object: &Value, complaint: &str) -> Status {
        let kind = &request.view.kind.kind;
        match self {
            Self::Body => {
                Status::bad_request(format!("{kind} in version \"v1\" cannot be handled as a {kind}: {complaint}"))
            }
            Self::Patch => field_validation::refused_patch(&object.to_string(), complaint),
            Self::StrategicPatch(sent) => field_validation::refused_patch(
                &go_values::printed(sent),
                &format!("error decoding from json: {complaint}"),
            ),
            Self::Apply(target, wanted) => {
                let described = patch::described(target, wanted);
                let kind = described.split_once("; ").map_or("", |(_, kind)| kind);
                let message = format!(
                    "failed to convert new object ({described}) to proper version: unable to convert unstructured \
                     object to {kind}: error decoding from json: {complaint}"
                );
                Status::failure(StatusCode::INTERNAL_SERVER_ERROR, "", message)
            }
        }
    }
}

impl Request<'_> {
    /// The body as JSON; other formats are read where the real server reads it.
    pub(super) fn body(&self) -> Result<Value, Status> {
        let (headers, kind) = (&self.call.headers, &self.view.kind);
        if kind.custom && negotiate::body_type(headers) == protobuf::MEDIA_TYPE {
            return Err(Status::unsupported_media_type(&["application/json", "application/yaml"]));
        }
        object_body::read(headers, &self.call.body, &kind.kind)
    }

    /// The object a create or replace brings, checked for its type and shape, in stored form; and the undeclared
    /// fields to warn of.
    fn object(&self) -> Result<(Draft, Vec<String>), Status> {
        let mut object = self.body()?;
        let undeclared = field_validation::check(&self.view, self.query.field_validation(), &mut object);
        Ok((self.admit(object, &Source::Body)?, undeclared?))
    }

    fn admit(&self, mut object: Value, source: &Source<'_>) -> Result<Draft, Status> {
        let kind = &self.view.kind;
        if !object.is_object() {
            return Err(Status::bad_request(format!(
                "couldn't get version/kind; json parse error: {} must be a JSON object",
                kind.kind
            )));
        }
        let mut is_rewritten = core_rules::has_null_bytes(kind, &object);
        if kind.custom && matches!(source, Source::Apply(..)) {
            meta::drop_malformed(&mut object);
            is_rewritten = meta::has_empty(&object);
        }
        let schema = kind.versions[self.view.version].structural.as_deref().filter(|_| kind.custom);
        let embedded = schema.map_or(Ok(()), |schema| schema::check_embedded(&object, schema, ""));
        let readable = meta::check_shape(&object).and(embedded);
        readable.map_err(|complaint| source.refuse(self, &object, &complaint))?;
        self.check_type(&object, source)?;
        let is_definition = kind.is("apiextensions.k8s.io", "customresourcedefinitions");
        if is_definition && object["spec"]["conversion"]["strategy"] == "Webhook" {
            return Err(Status::not_implemented("the conversion of custom resources by a webhook"));
        }
        if !cfg!(feature = "cel") && is_definition && has_rules(&object["spec"]["versions"]) {
            let what = "CEL rules, x-kubernetes-validations; build it with its feature cel";
            return Err(Status::not_implemented(what));
        }
        if is_definition && let Some(what) = unsupported(&object["spec"]["versions"]) {
            return Err(Status::not_implemented(what));
        }
        let said = object["apiVersion"].as_str().unwrap_or_default().to_owned();
        self.view.store(&mut object);
        if kind.custom && said != self.view.api_version() {
            object["apiVersion"] = said.into();
        }
        if let Err(complaint) = core_rules::check_shape(kind, &object) {
            return Err(source.refuse(self, &object, &complaint));
        }
        meta::normalize(&mut object);
        if let Some(schema) = schema {
            schema::fill(&mut object, schema, matches!(source, Source::Apply(..)));
            schema::normalize_embedded(&mut object, schema);
            go_values::limit_integers(&mut object);
        }
        Ok(Draft { object, is_rewritten })
    }

    /// Refuses an object that says it is of another version or kind. For a custom resource of another kind that is an error of
    /// validation, which comes later.
    fn check_type(&self, object: &Value, source: &Source<'_>) -> Result<(), Status> {
        let kind = &self.view.kind;
        if matches!(source, Source::StrategicPatch(_)) {
            // The type of the patched object is not read.
            return Ok(());
        }
        let is_patch_of_custom = kind.custom && matches!(source, Source::Patch);
        for (field, wanted) in [("apiVersion", self.view.api_version()), ("kind", kind.kind.clone())] {
            let complaint = match &object[field] {
                Value::Null if !kind.custom => continue,
                Value::String(said) if said.is_empty() && !kind.custom => continue,
                Value::String(said) if *said == wanted || field == "kind" && kind.custom && !said.is_empty() => {
                    continue;
                }
                // Found out later, with what else is wrong.
                Value::String(_) if field == "apiVersion" && is_patch_of_custom => continue,
                Value::Null if field == "apiVersion" && is_patch_of_custom => {
                    let message = "Object 'apiVersion' is missing in 'object has no apiVersion field'";
                    return Err(Status::internal(message));
                }
                Value::Null => format!("Object '{field}' is missing in '{object}'"),
                Value::String(said) if field == "apiVersion" => {
                    format!("the API version in the data ({said}) does not match the expected API version ({wanted})")
                }
                other => format!("the object provided is unrecognized (must be of type {wanted}): it says {other}"),
            };
            return Err(match source {
                Source::Body | Source::Apply(..) => Status::bad_request(complaint),
                Source::Patch | Source::StrategicPatch(_) => source.refuse(self, object, &complaint),
            });
        }
        Ok(())
    }

    /// Records the user who asks for a certificate.
    fn sign(&self, draft: &mut Draft) {
        if signing_request::is_one(&self.view.kind) {
            signing_request::sign_with(&self.call.caller, &mut draft.object);
        }
    }

    pub(super) fn create(&self) -> Result<Response<Bytes>, Status> {
        let format = self.format()?;
        self.check_options("CreateOptions")?;
        let target = self.target(Subresource::Main);
        let key = Key::new(&target.key.namespace, "");
        let target = Target { key, ..target };
        let (mut draft, undeclared) = self.object()?;
        meta::wipe(&mut draft.object);
        self.sign(&mut draft);
        let stored = write::create(&mut self.shared.write(), &target, draft)?;
        self.one(StatusCode::CREATED, &stored, format).map(|answer| field_validation::warn(answer, &undeclared))
    }

    pub(super) fn update(&self, subresource: Subresource) -> Result<Response<Bytes>, Status> {
        let format = self.format()?;
        self.check_options("UpdateOptions")?;
        let target = self.target(subresource);
        let (mut draft, undeclared) = self.object()?;
        target.place(&mut draft.object)?;
        let mut store = self.shared.write();
        let missing = store.find(&self.view.kind.collection, &target.key).is_none();
        if missing && self.view.kind.traits.create_on_update && subresource == Subresource::Main {
            target.expects_nothing(&draft.object, Style::Replace)?;
            let stored = write::create(&mut store, &target, unversioned(draft, &target)?)?;
            return self.one(StatusCode::CREATED, &stored, format);
        }
        let stored = write::update(&mut store, &target, Style::Replace, |_| Ok(draft))?;
        drop(store);
        self.one(StatusCode::OK, &stored, format).map(|answer| field_validation::warn(answer, &undeclared))
    }

    pub(super) fn patch(&self, subresource: Subresource) -> Result<Response<Bytes>, Status> {
        let format = self.format()?;
        let target = self.target(subresource);
        let patch = Patch::read(&self.call, &self.query, &self.view.kind)?;
        let validation = self.query.field_validation();
        let mut undeclared = Vec::new();
        let mut store = self.shared.write();
        let missing = store.find(&self.view.kind.collection, &target.key).is_none();
        if missing && patch.creates() && subresource == Subresource::Main {
            let (object, owned) = patch.new_object(&target)?;
            target.expects_nothing(&object, Style::Apply)?;
            let target = target.applying(owned);
            let wanted = object.clone();
            let mut draft = self.admit(object, &Source::Apply(&target, &wanted))?;
            self.sign(&mut draft);
            let stored = write::create(&mut store, &target, unversioned(draft, &target)?)?;
            return self.one(StatusCode::CREATED, &stored, format);
        }
        let style = if matches!(patch, Patch::Apply { .. }) { Style::Apply } else { Style::Derive };
        let stored = write::update(&mut store, &target, style, |current| {
            let mut patched = patch.apply(&target, &self.view.shown(current))?;
            undeclared = field_validation::check_patched(&self.view, validation, &mut patched)?;
            let source = match &patch {
                Patch::Apply { wanted, .. } => Source::Apply(&target, wanted),
                Patch::Strategic(sent, _) => Source::StrategicPatch(sent),
                Patch::Json(_) | Patch::Merge(_) | Patch::Malformed { .. } => Source::Patch,
            };
            self.admit(patched, &source)
        })?;
        drop(store);
        self.one(StatusCode::OK, &stored, format).map(|answer| field_validation::warn(answer, &undeclared))
    }

    /// The options of a delete: from the body, or from the query where there is no body. A real server never reads both.
    fn delete_options(&self) -> Result<DeleteOptions, Status> {
        let query = &self.query;
        let read = if self.call.body.is_empty() {
            json!({
                "gracePeriodSeconds": query.grace_period()?,
                "propagationPolicy": query.text("propagationPolicy"),
                "orphanDependents": query.text("orphanDependents").map(truthy),
                "dryRun": query.all("dryRun").collect::<Vec<_>>(),
                "preconditions": {"uid": query.text("uid"), "resourceVersion": query.text("resourceVersion")},
            })
        } else {
            let body = self.body()?;
            let named = matches!(body["kind"].as_str(), None | Some("" | "DeleteOptions"));
            if !body.is_object() || !named {
                return Err(Status::bad_request("the object provided is unrecognized (must be of type DeleteOptions)"));
            }
            body
        };
        DeleteOptions::read(&read)
    }

    /// The target of a delete with these options.
    fn deleting(&self, options: &DeleteOptions) -> Target {
        Target { dry_run: options.dry_run, ..self.target(Subresource::Main) }
    }

    pub(super) fn delete(&self) -> Result<Response<Bytes>, Status> {
        let format = self.format()?;
        let options = self.delete_options()?;
        let target = self.deleting(&options);
        let kind: &Kind = &self.view.kind;
        let deletion = delete::delete(&mut self.shared.write(), &target, &options)?;
        match deletion {
            Deletion::Done(gone) if !kind.traits.returns_deleted => {
                let status = success(&kind.group, &kind.plural, &gone.key.name, &gone.uid);
                Ok(json_response(StatusCode::OK, &status))
            }
            Deletion::Pending(stored) if options.keeps_no_orphans => self.one(StatusCode::ACCEPTED, &stored, format),
            Deletion::Done(stored) | Deletion::Pending(stored) => self.one(StatusCode::OK, &stored, format),
        }
    }

    pub(super) fn delete_collection(&self) -> Result<Response<Bytes>, Status> {
        let format = self.format()?;
        let options = self.delete_options()?;
        let template = self.deleting(&options);
        let (selection, list_options) = self.selection(false)?;
        let mut store: std::sync::RwLockWriteGuard<'_, Store> = self.shared.write();
        let page = list::page(&store, &self.view, &selection, &list_options)?;
        for stored in &page.items {
            let target = Target {
                view: self.view.clone(),
                key: stored.key.clone(),
                manager: template.manager.clone(),
                ..template
            };
            match delete::delete(&mut store, &target, &options) {
                Ok(Deletion::Done(_) | Deletion::Pending(_)) => {}
                // Gone with another one of the list.
                Err(status) if status.code() == 404 => {}
                Err(status) => return Err(status),
            }
        }
        drop(store);
        if format == Format::Metadata {
            return Err(list::not_one_object());
        }
        // The answer is the list as it was.
        page.respond(&self.view, format, self.shared.now())
    }
}
