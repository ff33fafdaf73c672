//! Which part of the API a request is for, and the way of each verb through it.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::Value;

use super::{
    BODY_LIMIT, Call, Inner, Reply, core_rules,
    delete::{self, DeleteOptions, Deletion, Propagation},
    discovery, fields,
    kinds::Kind,
    list::{self, Page, Selection},
    managed_fields::Manager,
    meta,
    negotiate::{self, Format},
    openapi,
    patch::{self, Patch},
    protobuf,
    query::Query,
    route::{RequestInfo, Verb},
    self_subject_review,
    status::{Status, json_response, page_not_found, raw_response, success},
    store::{Key, Stored},
    view::View,
    watch::{Store, Watch},
    write::{self, Style, Subresource, Target},
};

/// Answers one request.
pub(crate) fn answer(inner: &Arc<Inner>, call: Call) -> Result<Reply, Status> {
    if call.body.len() > BODY_LIMIT {
        return Err(Status::too_large_body(BODY_LIMIT));
    }
    let info = RequestInfo::parse(&call.method, &call.path, call.query.as_deref());
    if !info.is_resource {
        return non_resource(inner, &call, &info).map(Reply::Whole);
    }
    if info.group == "authentication.k8s.io" && info.version == "v1" && info.resource == "selfsubjectreviews" {
        return match info.verb {
            Verb::Create if info.name.is_none() => Ok(Reply::Whole(self_subject_review(&call.caller, inner.now()))),
            _ => Err(Status::method_not_allowed()),
        };
    }
    let known = inner.read().kind(&info.group, &info.resource).cloned();
    let found = known.and_then(|kind| Some((kind.served(&info.version)?, kind)));
    let Some((version, kind)) = found else {
        return unknown_resource(inner, &info);
    };
    if !info.extra.is_empty() {
        return if matches!(info.extra[0].as_str(), "watch" | "proxy") {
            Err(Status::not_implemented(format_args!("the /{}/ prefix", info.extra[0])))
        } else {
            Err(Status::no_such_resource())
        };
    }
    let query = Query::parse(call.query.as_deref());
    let request = Request { inner, view: View { kind, version }, query, call, info };
    request.answer()
}

fn unknown_resource(inner: &Inner, info: &RequestInfo) -> Result<Reply, Status> {
    let store = inner.read();
    let of_a_core_group =
        store.kinds().any(|kind| !kind.custom && kind.group == info.group && kind.served(&info.version).is_some());
    if is_left_out(&info.group, &info.resource) {
        let what = super::kinds::shelf_id(&info.group, &info.resource);
        return Err(Status::not_implemented(format_args!("the resource {what} in version {}", info.version)));
    }
    if of_a_core_group {
        return Err(Status::no_such_resource());
    }
    Ok(Reply::Whole(page_not_found()))
}

/// What a real server has and this one knowingly does not.
fn is_left_out(group: &str, resource: &str) -> bool {
    match group {
        "" => matches!(
            resource,
            "bindings"
                | "componentstatuses"
                | "endpoints"
                | "limitranges"
                | "persistentvolumeclaims"
                | "persistentvolumes"
                | "podtemplates"
                | "replicationcontrollers"
                | "resourcequotas"
        ),
        "apps" => matches!(resource, "controllerrevisions" | "daemonsets" | "replicasets" | "statefulsets"),
        "authentication.k8s.io" => resource == "tokenreviews",
        "admissionregistration.k8s.io"
        | "apiregistration.k8s.io"
        | "authorization.k8s.io"
        | "autoscaling"
        | "batch"
        | "certificates.k8s.io"
        | "discovery.k8s.io"
        | "flowcontrol.apiserver.k8s.io"
        | "networking.k8s.io"
        | "node.k8s.io"
        | "policy"
        | "resource.k8s.io"
        | "scheduling.k8s.io"
        | "storage.k8s.io" => true,
        _ => false,
    }
}

/// The same for what is no resource. The path has no slash at its end.
fn is_left_out_path(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    matches!(first, "" | ".well-known" | "debug" | "flagz" | "logs" | "metrics" | "openid" | "statusz")
}

fn non_resource(inner: &Inner, call: &Call, info: &RequestInfo) -> Result<Response<Bytes>, Status> {
    let path = info.path.trim_end_matches('/');
    let known = discovery::answer(&inner.read(), path, &call.headers).or_else(|| openapi::answer(&inner.read(), path));
    match known {
        None if is_left_out_path(path) => Err(Status::not_implemented(format_args!("the path {}", info.path))),
        None => Ok(page_not_found()),
        Some(_) if !matches!(call.method, Method::GET | Method::HEAD) => Err(Status::method_not_allowed()),
        Some(answer) => answer,
    }
}

/// What is made by an update or an apply may say a version, which means nothing then. A create may not.
fn unversioned(mut object: Value) -> Value {
    meta::metadata_mut(&mut object).remove("resourceVersion");
    object
}

/// A request for a kind that is served.
struct Request<'a> {
    inner: &'a Arc<Inner>,
    call: Call,
    view: View,
    query: Query,
    info: RequestInfo,
}

impl Request<'_> {
    fn answer(&self) -> Result<Reply, Status> {
        let info = &self.info;
        let kind = &self.view.kind;
        if self.call.method == Method::HEAD && !kind.custom {
            return Err(Status::method_not_allowed());
        }
        let in_namespace = info.namespace.is_some() && !kind.is("", "namespaces");
        if in_namespace && !kind.namespaced {
            return Err(Status::no_such_resource());
        }
        let subresource = self.subresource()?;
        let one = matches!(info.verb, Verb::Get | Verb::Update | Verb::Patch | Verb::Delete);
        if kind.namespaced && !in_namespace && one {
            return Err(Status::no_such_resource());
        }
        let main = subresource == Subresource::Main;
        match info.verb {
            Verb::Get => self.get().map(Reply::Whole),
            Verb::List if main => self.list().map(Reply::Whole),
            Verb::Watch if main => self.watch().map(Reply::Watch),
            Verb::Create if info.name.is_none() && (in_namespace || !kind.namespaced) => {
                self.create().map(Reply::Whole)
            }
            Verb::Update if info.name.is_some() => self.update(subresource).map(Reply::Whole),
            Verb::Patch if info.name.is_some() => self.patch(subresource).map(Reply::Whole),
            Verb::Delete if main => self.delete().map(Reply::Whole),
            Verb::DeleteCollection if (in_namespace || !kind.namespaced) && !kind.is("", "namespaces") => {
                self.delete_collection().map(Reply::Whole)
            }
            _ => Err(Status::method_not_allowed()),
        }
    }

    fn subresource(&self) -> Result<Subresource, Status> {
        let kind = &self.view.kind;
        let version = &kind.versions[self.view.version];
        match self.info.subresource.as_deref() {
            None => Ok(Subresource::Main),
            Some("status") if version.status => Ok(Subresource::Status),
            Some("finalize") if kind.is("", "namespaces") => Ok(Subresource::Finalize),
            Some("scale") if version.scale || kind.is("apps", "deployments") => {
                Err(Status::not_implemented("the scale subresource"))
            }
            Some(other)
                if kind.is("", "pods")
                    || kind.is("", "serviceaccounts")
                    || kind.group.is_empty() && other == "proxy" =>
            {
                Err(Status::not_implemented(format_args!("the subresource {}/{other}", kind.plural)))
            }
            Some(_) => Err(Status::no_such_resource()),
        }
    }

    fn format(&self) -> Result<Format, Status> {
        negotiate::accepted(&self.call.headers, self.query.include()?)
    }

    fn namespace(&self) -> &str {
        if self.view.kind.namespaced { self.info.namespace.as_deref().unwrap_or_default() } else { "" }
    }

    fn target(&self, subresource: Subresource, options_kind: &str) -> Result<Target, Status> {
        let agent = self.call.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
        let named = self.query.text("fieldManager");
        if let Some(long) = named.filter(|name| name.len() > 128 || name.chars().any(char::is_control)) {
            let cause = super::status::Cause::invalid("fieldManager", long, "may not be more than 128 bytes");
            return Err(Status::invalid("meta.k8s.io", options_kind, "", &[cause]));
        }
        self.query.field_validation(options_kind)?;
        Ok(Target {
            view: self.view.clone(),
            key: Key::new(self.namespace(), self.info.name.as_deref().unwrap_or_default()),
            subresource,
            dry_run: self.query.dry_run(options_kind)?,
            manager: Manager::of_request(named, agent),
            now: self.inner.now(),
        })
    }

    fn one(&self, code: StatusCode, stored: &Stored, format: Format) -> Result<Response<Bytes>, Status> {
        let body = self.view.render(stored, format, self.inner.now())?;
        Ok(raw_response(code, "application/json", body))
    }

    fn get(&self) -> Result<Response<Bytes>, Status> {
        let format = self.format()?;
        let target = self.target(Subresource::Main, "GetOptions")?;
        let store = self.inner.read();
        if let Some(asked) = self.query.resource_version()?.filter(|&asked| asked > store.rv()) {
            return Err(Status::resource_version_too_large(asked, store.rv()));
        }
        let found = store.find(&self.view.kind.shelf, &target.key).cloned();
        drop(store);
        self.one(StatusCode::OK, &*found.ok_or_else(|| target.not_found())?, format)
    }

    fn selection(&self, watch: bool) -> Result<(Selection, super::query::ListOptions), Status> {
        let selectable = &self.view.kind.versions[self.view.version].selectable;
        let options = self.query.list_options(selectable, watch)?;
        let namespace = self.info.namespace.clone().filter(|_| self.view.kind.namespaced);
        let selection = Selection { namespace, labels: options.labels.clone(), fields: options.fields.clone() };
        Ok((selection, options))
    }

    fn list(&self) -> Result<Response<Bytes>, Status> {
        let format = self.format()?;
        let (selection, options) = self.selection(false)?;
        let page = list::page(&self.inner.read(), &self.view, &selection, &options)?;
        page.respond(&self.view, format, self.inner.now())
    }

    fn watch(&self) -> Result<Watch, Status> {
        let format = self.format()?;
        let (selection, options) = self.selection(true)?;
        let store = self.inner.read();
        Watch::open(self.inner, &store, self.view.clone(), selection, &options, format)
    }

    /// The body as JSON; other formats are read where the real server reads it.
    fn body(&self) -> Result<Value, Status> {
        let content_type = negotiate::body_type(&self.call.headers);
        if content_type == protobuf::MEDIA_TYPE && !self.view.kind.custom {
            return protobuf::read(&self.call.body);
        }
        let text = std::str::from_utf8(&self.call.body)
            .map_err(|_| Status::bad_request("the object provided is unrecognized: it is not UTF-8"))?;
        match content_type.as_str() {
            "" | "application/json" => serde_json::from_str(text).map_err(|error| {
                let kind = &self.view.kind.kind;
                Status::bad_request(format!(
                    "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json \
                     parse error: {error}"
                ))
            }),
            "application/yaml" => patch::read_yaml(text),
            _ => Err(Status::unsupported_media_type(&["application/json", "application/yaml"])),
        }
    }

    /// The object a create or replace brings, checked for its type and shape, in stored form; and the undeclared
    /// fields to warn of.
    fn object(&self, options_kind: &str) -> Result<(Value, Vec<String>), Status> {
        let object = self.body()?;
        let undeclared = fields::check(&self.view, self.query.field_validation(options_kind)?, &object);
        Ok((self.admit(object)?, undeclared?))
    }

    fn admit(&self, mut object: Value) -> Result<Value, Status> {
        let kind = &self.view.kind;
        let version = &kind.versions[self.view.version].name;
        meta::check_shape(&object, kind, version)?;
        for (field, wanted) in [("apiVersion", self.view.api_version()), ("kind", kind.kind.clone())] {
            match &object[field] {
                Value::Null if !kind.custom => {}
                Value::String(said) if *said == wanted => {}
                Value::Null => {
                    return Err(Status::bad_request(format!("Object '{field}' is missing in '{object}'")));
                }
                Value::String(said) if field == "apiVersion" => {
                    return Err(Status::bad_request(format!(
                        "the API version in the data ({said}) does not match the expected API version ({wanted})"
                    )));
                }
                other => {
                    return Err(Status::bad_request(format!(
                        "the object provided is unrecognized (must be of type {wanted}): it says {other}"
                    )));
                }
            }
        }
        self.view.store(&mut object);
        core_rules::check_shape(kind, &object)?;
        meta::metadata_mut(&mut object);
        Ok(object)
    }

    fn create(&self) -> Result<Response<Bytes>, Status> {
        let format = self.format()?;
        let target = self.target(Subresource::Main, "CreateOptions")?;
        let (object, undeclared) = self.object("CreateOptions")?;
        let stored = write::create(&mut self.inner.write(), &target, object)?;
        self.one(StatusCode::CREATED, &stored, format).map(|answer| fields::warn(answer, &undeclared))
    }

    fn update(&self, subresource: Subresource) -> Result<Response<Bytes>, Status> {
        let format = self.format()?;
        let target = self.target(subresource, "UpdateOptions")?;
        let (object, undeclared) = self.object("UpdateOptions")?;
        let mut store = self.inner.write();
        let missing = store.find(&self.view.kind.shelf, &target.key).is_none();
        if missing && self.view.kind.traits.create_on_update && subresource == Subresource::Main {
            target.expects_nothing(&object, Style::Replace)?;
            let stored = write::create(&mut store, &target, unversioned(object))?;
            return self.one(StatusCode::CREATED, &stored, format);
        }
        let stored = write::update(&mut store, &target, Style::Replace, |_| Ok(object))?;
        drop(store);
        self.one(StatusCode::OK, &stored, format).map(|answer| fields::warn(answer, &undeclared))
    }

    fn patch(&self, subresource: Subresource) -> Result<Response<Bytes>, Status> {
        let format = self.format()?;
        let target = self.target(subresource, "PatchOptions")?;
        let patch = Patch::read(&self.call, &self.query, &self.view.kind)?;
        let validation = self.query.field_validation("PatchOptions")?;
        if let Patch::Apply { wanted, .. } = &patch {
            fields::check_applied(&target, validation, wanted)?;
        }
        let mut undeclared = Vec::new();
        let mut store = self.inner.write();
        let missing = store.find(&self.view.kind.shelf, &target.key).is_none();
        if missing && matches!(patch, Patch::Apply { .. }) && subresource == Subresource::Main {
            let (object, owned) = patch.new_object(&target)?;
            target.expects_nothing(&object, Style::Apply)?;
            let target = target.applying(owned);
            let stored = write::create(&mut store, &target, unversioned(self.admit(object)?))?;
            return self.one(StatusCode::CREATED, &stored, format);
        }
        let style = if matches!(patch, Patch::Apply { .. }) { Style::Apply } else { Style::Derive };
        let stored = write::update(&mut store, &target, style, |current| {
            let mut shown = current.clone();
            self.view.show(&mut shown);
            let patched = patch.apply(&target, &shown)?;
            undeclared = fields::check_patched(&self.view, validation, &shown, &patched)?;
            self.admit(patched)
        })?;
        drop(store);
        self.one(StatusCode::OK, &stored, format).map(|answer| fields::warn(answer, &undeclared))
    }

    /// From the body, or from the query where there is no body: a real server never reads both.
    fn delete_options(&self) -> Result<DeleteOptions, Status> {
        if !self.call.body.is_empty() {
            let body = self.body()?;
            if !body.is_object() || !matches!(body["kind"].as_str(), None | Some("DeleteOptions")) {
                return Err(Status::bad_request("the object provided is unrecognized (must be of type DeleteOptions)"));
            }
            return DeleteOptions::read(&body);
        }
        let mut options = DeleteOptions::default();
        if let Some(seconds) = self.query.grace_period()? {
            options.grace_period = Some(seconds);
        }
        if let Some(policy) = self.query.text("propagationPolicy") {
            options.propagation = Propagation::parse(policy)?;
        }
        Ok(options)
    }

    /// The target of a delete. Whether it is only a rehearsal stands where its other options do.
    fn deleting(&self) -> Result<Target, Status> {
        let mut target = self.target(Subresource::Main, "DeleteOptions")?;
        if !self.call.body.is_empty() {
            match &self.body()?["dryRun"] {
                Value::Null => target.dry_run = false,
                Value::Array(list) if list.iter().all(|value| value == "All") => target.dry_run = !list.is_empty(),
                other => {
                    let shown = other.to_string();
                    let cause = super::status::Cause::not_supported("dryRun", &shown, &["All"]);
                    return Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", &[cause]));
                }
            }
        }
        Ok(target)
    }

    fn delete(&self) -> Result<Response<Bytes>, Status> {
        let format = self.format()?;
        let options = self.delete_options()?;
        let target = self.deleting()?;
        let kind: &Kind = &self.view.kind;
        let deletion = delete::delete(&mut self.inner.write(), &target, &options)?;
        match deletion {
            Deletion::Done(gone) if !kind.traits.returns_deleted => {
                let status = success(&kind.group, &kind.plural, &gone.key.name, &gone.uid);
                Ok(json_response(StatusCode::OK, &status))
            }
            Deletion::Done(stored) | Deletion::Pending(stored) => self.one(StatusCode::OK, &stored, format),
        }
    }

    fn delete_collection(&self) -> Result<Response<Bytes>, Status> {
        let format = self.format()?;
        if format == Format::Metadata {
            // Told before anything is deleted.
            return Err(list::not_one_object());
        }
        let options = self.delete_options()?;
        let rehearsal = self.deleting()?;
        let (selection, list_options) = self.selection(false)?;
        let mut store: std::sync::RwLockWriteGuard<'_, Store> = self.inner.write();
        let page = list::page(&store, &self.view, &selection, &list_options)?;
        let mut deleted = Vec::with_capacity(page.items.len());
        for stored in page.items {
            let target = Target {
                view: self.view.clone(),
                key: stored.key.clone(),
                manager: rehearsal.manager.clone(),
                ..rehearsal
            };
            match delete::delete(&mut store, &target, &options) {
                Ok(Deletion::Done(stored) | Deletion::Pending(stored)) => deleted.push(stored),
                // Gone with another one of the list.
                Err(status) if status.code() == 404 => {}
                Err(status) => return Err(status),
            }
        }
        let page = Page::of(deleted, store.rv());
        drop(store);
        page.respond(&self.view, format, self.inner.now())
    }
}
