//! `SelfSubjectAccessReview`: what authorization would say to a request that is only described.

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::wire::{
    object_body,
    route::{RequestInfo, Verb},
    status::{Cause, Status, json_response},
};

const VERBS: [Verb; 8] =
    [Verb::Get, Verb::List, Verb::Watch, Verb::Create, Verb::Update, Verb::Patch, Verb::Delete, Verb::DeleteCollection];

/// Whether a request asks for such a review.
pub(crate) fn is_asked_for(info: &RequestInfo) -> bool {
    info.verb == Verb::Create
        && (&*info.group, &*info.version, &*info.resource) == ("authorization.k8s.io", "v1", "selfsubjectaccessreviews")
        && info.name.is_none()
}

/// The review, answered by `may`.
pub(crate) fn answer(
    headers: &HeaderMap,
    body: &[u8],
    may: impl FnOnce(&RequestInfo) -> bool,
) -> Result<Response<Bytes>, Status> {
    let mut review = object_body::read_question(headers, body, "SelfSubjectAccessReview")?;
    let info = described(&review["spec"])?;
    review["kind"] = "SelfSubjectAccessReview".into();
    review["apiVersion"] = "authorization.k8s.io/v1".into();
    review["metadata"] = json!({});
    review["status"] = if may(&info) { json!({"allowed": true}) } else { json!({"allowed": false}) };
    Ok(json_response(StatusCode::CREATED, &review))
}

/// The request a review is about.
fn described(spec: &Value) -> Result<RequestInfo, Status> {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let attributes = if path.is_object() { path } else { resource };
    let cause = match (resource.is_object(), path.is_object()) {
        (true, true) => Some(Cause::invalid_raw(
            "spec.nonResourceAttributes",
            &path.to_string(),
            "cannot be specified in combination with resourceAttributes",
        )),
        (false, false) => Some(Cause::invalid_raw(
            "spec.resourceAttributes",
            "null",
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )),
        _ => None,
    };
    if let Some(cause) = cause {
        return Err(Status::invalid("authorization.k8s.io", "", "", &[cause]));
    }
    let asked = text(&attributes["verb"]).unwrap_or_default();
    let Some(verb) = VERBS.into_iter().find(|verb| verb.as_str() == asked) else {
        return Err(Status::not_implemented(format_args!("a review of the verb {asked:?}")));
    };
    let plain = RequestInfo::parse(&Method::GET, &text(&path["path"]).unwrap_or_default(), None);
    if path.is_object() {
        return Ok(RequestInfo { verb, ..plain });
    }
    let named = |field: &str| text(&resource[field]);
    let (group, version) = (named("group").unwrap_or_default(), named("version").unwrap_or_else(|| "v1".to_owned()));
    let mut path = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    let (namespace, plural) = (named("namespace"), named("resource").unwrap_or_default());
    for part in [namespace.as_deref().map(|_| "namespaces"), namespace.as_deref(), Some(&plural)].into_iter().flatten()
    {
        path = format!("{path}/{part}");
    }
    Ok(RequestInfo {
        verb,
        is_resource: true,
        path,
        group,
        version,
        resource: plural,
        subresource: named("subresource"),
        namespace,
        name: named("name"),
        extra: Vec::new(),
    })
}
