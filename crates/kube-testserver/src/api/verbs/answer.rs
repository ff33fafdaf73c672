//! Which part of the API a request is for, and the way of each verb through it.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response};

use crate::{
    api::{
        present::{discovery, openapi},
        reply::Reply,
        store::shared::Shared,
        verbs::{left_out, request::Request, self_review::self_subject_review},
    },
    registry::{kinds, view::View},
    wire::{
        call::{BODY_LIMIT, Call},
        query::Query,
        route::{RequestInfo, Verb},
        status::{Status, page_not_found},
    },
};

/// Answers one request.
pub(crate) fn answer(shared: &Arc<Shared>, call: Call) -> Result<Reply, Status> {
    if call.body.len() > BODY_LIMIT {
        return Err(Status::too_large_body(BODY_LIMIT));
    }
    let info = RequestInfo::parse(&call.method, &call.path, call.query.as_deref());
    if !info.is_resource {
        return non_resource(shared, &call, &info).map(Reply::Whole);
    }
    if info.group == "authentication.k8s.io" && info.version == "v1" && info.resource == "selfsubjectreviews" {
        return match info.verb {
            Verb::Create if info.name.is_none() => Ok(Reply::Whole(self_subject_review(&call.caller, shared.now()))),
            _ => Err(Status::method_not_allowed()),
        };
    }
    let known = shared.read().kind(&info.group, &info.resource).cloned();
    let found = known.and_then(|kind| Some((kind.served(&info.version)?, kind)));
    let Some((version, kind)) = found else {
        return unknown_resource(shared, &info);
    };
    if !info.extra.is_empty() {
        return if matches!(info.extra[0].as_str(), "watch" | "proxy") {
            Err(Status::not_implemented(format_args!("the /{}/ prefix", info.extra[0])))
        } else {
            Err(Status::no_such_resource())
        };
    }
    let query = Query::parse(call.query.as_deref());
    let request = Request { shared, view: View { kind, version }, query, call, info };
    request.answer()
}

fn unknown_resource(shared: &Shared, info: &RequestInfo) -> Result<Reply, Status> {
    let store = shared.read();
    let of_a_core_group =
        store.kinds().any(|kind| !kind.custom && kind.group == info.group && kind.served(&info.version).is_some());
    if left_out::is_left_out(&info.group, &info.resource) {
        let what = kinds::resource_id(&info.group, &info.resource);
        return Err(Status::not_implemented(format_args!("the resource {what} in version {}", info.version)));
    }
    if of_a_core_group {
        return Err(Status::no_such_resource());
    }
    Ok(Reply::Whole(page_not_found()))
}

fn non_resource(shared: &Shared, call: &Call, info: &RequestInfo) -> Result<Response<Bytes>, Status> {
    let path = info.path.trim_end_matches('/');
    let known =
        discovery::answer(&shared.read(), path, &call.headers).or_else(|| openapi::answer(&shared.read(), path));
    match known {
        None if left_out::is_left_out_path(path) => {
            Err(Status::not_implemented(format_args!("the path {}", info.path)))
        }
        None => Ok(page_not_found()),
        Some(_) if !matches!(call.method, Method::GET | Method::HEAD) => Err(Status::method_not_allowed()),
        Some(answer) => answer,
    }
}
