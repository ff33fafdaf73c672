//! A request for a kind that is served: what it is, and the verbs that read.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, StatusCode};

use crate::{
    api::{
        merge::{
            manager::Manager,
            target::{Subresource, Target},
        },
        present::{list, selection::Selection, watch::Watch},
        reply::Reply,
        store::{
            objects::{Key, Stored},
            shared::Shared,
        },
    },
    registry::view::View,
    wire::{
        call::Call,
        negotiate::{self, Format},
        query::{ListOptions, Query},
        route::{RequestInfo, Verb},
        status::{Status, raw_response},
    },
};

/// A request for a kind that is served.
pub(super) struct Request<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) call: Call,
    pub(super) view: View,
    pub(super) query: Query,
    pub(super) info: RequestInfo,
}

impl Request<'_> {
    pub(super) fn answer(&self) -> Result<Reply, Status> {
        let info = &self.info;
        let kind = &self.view.kind;
        if self.call.method == Method::HEAD && !kind.custom {
            return Err(Status::method_not_allowed());
        }
        let in_namespace = info.namespace.is_some() && !kind.is("", "namespaces");
        if in_namespace && !kind.namespaced {
            return Err(Status::no_such_resource());
        }
        if !kind.custom {
            negotiate::check_routed(&self.call.headers)?;
        }
        let subresource = self.subresource()?;
        let one = matches!(info.verb, Verb::Get | Verb::Update | Verb::Patch | Verb::Delete);
        if kind.namespaced && !in_namespace && one {
            return Err(Status::no_such_resource());
        }
        let scale = self.view.kind.versions[self.view.version].scale.as_ref();
        if let Some(paths) = scale.filter(|_| subresource == Subresource::Scale && info.name.is_some()) {
            return self.scale(paths).map(Reply::Whole);
        }
        let main = subresource == Subresource::Main;
        if subresource == Subresource::Finalize && info.verb != Verb::Update {
            return Err(Status::method_not_allowed());
        }
        match info.verb {
            Verb::Get => self.get().map(Reply::Whole),
            Verb::List if main => self.list().map(Reply::Whole),
            Verb::Watch if main => self.watch().map(Reply::Watch),
            // A real server passes over a name in the path of a custom resource.
            Verb::Create if main && (info.name.is_none() || kind.custom) && (in_namespace || !kind.namespaced) => {
                self.create().map(Reply::Whole)
            }
            Verb::Update if info.name.is_some() => self.update(subresource).map(Reply::Whole),
            Verb::Patch if info.name.is_some() => self.patch(subresource).map(Reply::Whole),
            Verb::Delete if main => self.delete().map(Reply::Whole),
            Verb::DeleteCollection if (in_namespace || !kind.namespaced) && !kind.is("", "namespaces") => {
                self.delete_collection().map(Reply::Whole)
            }
            Verb::Update | Verb::Patch if kind.custom && info.name.is_none() => {
                Err(Status::bad_request("name must be provided"))
            }
            _ if kind.custom => Err(Status::method_not_supported(&kind.group, &kind.plural, info.verb.as_str())),
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
            Some("approval") if kind.is("certificates.k8s.io", "certificatesigningrequests") => {
                Ok(Subresource::Approval)
            }
            Some("ephemeralcontainers") if kind.is("", "pods") => Ok(Subresource::EphemeralContainers),
            Some("scale") if version.scale.is_some() => Ok(Subresource::Scale),
            Some("scale") if kind.is("apps", "deployments") => Err(Status::not_implemented("the scale subresource")),
            Some(other)
                if kind.is("", "pods")
                    || kind.is("", "serviceaccounts")
                    || kind.group.is_empty() && other == "proxy" =>
            {
                Err(Status::not_implemented(format_args!("the subresource {}/{other}", kind.plural)))
            }
            Some(_) if kind.custom => {
                let name = self.info.name.as_deref().unwrap_or_default();
                Err(Status::not_found(&kind.group, &kind.plural, name))
            }
            Some(_) => Err(Status::no_such_resource()),
        }
    }

    pub(super) fn format(&self) -> Result<Format, Status> {
        negotiate::accepted(&self.call.headers, self.query.include()?)
    }

    fn namespace(&self) -> &str {
        if self.view.kind.namespaced { self.info.namespace.as_deref().unwrap_or_default() } else { "" }
    }

    /// The object that the request is about.
    pub(super) fn target(&self, subresource: Subresource) -> Target {
        let agent = self.call.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
        Target {
            view: self.view.clone(),
            key: Key::new(self.namespace(), self.info.name.as_deref().unwrap_or_default()),
            subresource,
            dry_run: self.query.dry_run(),
            manager: Manager::of_request(self.query.text("fieldManager"), agent),
            now: self.shared.now(),
        }
    }

    /// Refuses options that a write may not have. `kind` is what the error calls them.
    pub(super) fn check_options(&self, kind: &str) -> Result<(), Status> {
        let causes = self.query.write_options_problems();
        if causes.is_empty() { Ok(()) } else { Err(Status::invalid("meta.k8s.io", kind, "", &causes)) }
    }

    pub(super) fn one(&self, code: StatusCode, stored: &Stored, format: Format) -> Result<Response<Bytes>, Status> {
        let body = self.view.render(stored, format, self.shared.now())?;
        Ok(raw_response(code, "application/json", body))
    }

    fn get(&self) -> Result<Response<Bytes>, Status> {
        let format = self.format()?;
        let target = self.target(Subresource::Main);
        let store = self.shared.read();
        if let Some(asked) = self.query.resource_version()?.filter(|&asked| asked > store.rv()) {
            return Err(Status::resource_version_too_large(asked, store.rv()));
        }
        let found = store.find(&self.view.kind.collection, &target.key).cloned();
        drop(store);
        self.one(StatusCode::OK, &*found.ok_or_else(|| target.not_found())?, format)
    }

    pub(super) fn selection(&self, watch: bool) -> Result<(Selection, ListOptions), Status> {
        let kind = &self.view.kind;
        let fields = kind.versions[self.view.version].selectable.as_slice();
        let selectable = (kind.custom || !fields.is_empty()).then_some(fields);
        let options = self.query.list_options(selectable, watch)?;
        let namespace = self.info.namespace.clone().filter(|_| self.view.kind.namespaced);
        let selection = Selection { namespace, labels: options.labels.clone(), fields: options.fields.clone() };
        Ok((selection, options))
    }

    fn list(&self) -> Result<Response<Bytes>, Status> {
        let format = self.format()?;
        let (selection, options) = self.selection(false)?;
        let page = list::page(&self.shared.read(), &self.view, &selection, &options)?;
        page.respond(&self.view, format, self.shared.now())
    }

    fn watch(&self) -> Result<Watch, Status> {
        let format = self.format()?;
        let (selection, options) = self.selection(true)?;
        let store = self.shared.read();
        Watch::open(self.shared, &store, self.view.clone(), selection, &options, format)
    }
}
