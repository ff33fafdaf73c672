//! `metav1.Status`: how a request failed, in the shape and the words of a real kube-apiserver.
//!
//! Only the vocabulary of failures is here, not the decision that something failed.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use serde_json::{Map, Value, json};

/// A failed (or explicitly successful) answer: HTTP code, machine readable reason, message and details.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Status(Box<Body>);

#[derive(Debug, Clone, PartialEq)]
struct Body {
    code: u16,
    reason: Cow<'static, str>,
    message: String,
    details: Option<Map<String, Value>>,
    continue_token: Option<String>,
}

/// One reason why a field was refused; several make the causes of a 422.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cause {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) field: String,
}

impl Cause {
    /// The field's value breaks a rule; `value` is printed as Go's `%v` of a quoted string would be.
    pub(crate) fn invalid(field: impl Into<String>, value: &str, rule: &str) -> Self {
        Self::invalid_raw(field, &format!("{value:?}"), rule)
    }

    /// As [`Cause::invalid`], for values that are no strings.
    pub(crate) fn invalid_raw(field: impl Into<String>, value: &str, rule: &str) -> Self {
        Self { reason: "FieldValueInvalid", message: format!("Invalid value: {value}: {rule}"), field: field.into() }
    }

    /// The field has more bytes than it may have.
    pub(crate) fn too_long(field: impl Into<String>, most: usize) -> Self {
        let bytes = if most == 1 { "byte" } else { "bytes" };
        let message = format!("Too long: may not be more than {most} {bytes}");
        Self { reason: "FieldValueTooLong", message, field: field.into() }
    }

    /// The field must be there.
    pub(crate) fn required(field: impl Into<String>, rule: &str) -> Self {
        let message = if rule.is_empty() { "Required value".to_owned() } else { format!("Required value: {rule}") };
        Self { reason: "FieldValueRequired", message, field: field.into() }
    }

    /// The list has this value already.
    pub(crate) fn duplicate(field: impl Into<String>, value: &str) -> Self {
        Self::duplicate_raw(field, &format!("{value:?}"))
    }

    /// As [`Cause::duplicate`], for values that are no strings.
    pub(crate) fn duplicate_raw(field: impl Into<String>, value: &str) -> Self {
        Self { reason: "FieldValueDuplicate", message: format!("Duplicate value: {value}"), field: field.into() }
    }

    /// The field may not be set here.
    pub(crate) fn forbidden(field: impl Into<String>, rule: &str) -> Self {
        Self { reason: "FieldValueForbidden", message: format!("Forbidden: {rule}"), field: field.into() }
    }

    /// The field has a closed set of values and this is none of them.
    pub(crate) fn not_supported(field: impl Into<String>, value: &str, supported: &[&str]) -> Self {
        Self::not_supported_raw(field, &format!("{value:?}"), supported)
    }

    /// As [`Cause::not_supported`], for values that are no strings.
    pub(crate) fn not_supported_raw(field: impl Into<String>, value: &str, supported: &[&str]) -> Self {
        let listed: Vec<String> = supported.iter().map(|known| format!("{known:?}")).collect();
        Self {
            reason: "FieldValueNotSupported",
            message: format!("Unsupported value: {value}: supported values: {}", listed.join(", ")),
            field: field.into(),
        }
    }

    fn sentence(&self) -> String {
        if self.field.is_empty() { self.message.clone() } else { format!("{}: {}", self.field, self.message) }
    }
}

/// `plural.group`, or the bare plural for the core group: how messages name a resource.
fn qualified(group: &str, name: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

fn details(group: &str, kind: &str, name: &str) -> Map<String, Value> {
    let mut details = Map::new();
    for (key, value) in [("name", name), ("group", group), ("kind", kind)] {
        if !value.is_empty() {
            details.insert(key.to_owned(), value.into());
        }
    }
    details
}

impl Status {
    /// A failure of any kind; prefer the named constructors.
    pub(crate) fn failure(code: StatusCode, reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self(Box::new(Body {
            code: code.as_u16(),
            reason: reason.into(),
            message: message.into(),
            details: None,
            continue_token: None,
        }))
    }

    fn with(mut self, details: Map<String, Value>) -> Self {
        self.0.details = Some(details);
        self
    }

    fn with_causes(mut self, causes: &[Cause]) -> Self {
        let causes: Vec<Value> = causes
            .iter()
            .map(|cause| match cause.field.as_str() {
                "" => json!({"reason": cause.reason, "message": cause.message}),
                field => json!({"reason": cause.reason, "message": cause.message, "field": field}),
            })
            .collect();
        self.0.details.get_or_insert_default().insert("causes".to_owned(), causes.into());
        self
    }

    /// Tells the client when to come back; the response carries `Retry-After` too.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.0.details.get_or_insert_default().insert("retryAfterSeconds".to_owned(), seconds.into());
        self
    }

    /// Hands the client a token to go on with (410 in the middle of a paged list).
    pub(crate) fn continue_with(mut self, token: String) -> Self {
        self.0.continue_token = Some(token);
        self
    }

    /// The HTTP status code.
    pub(crate) fn code(&self) -> u16 {
        self.0.code
    }

    /// The machine readable reason, `NotFound` for one.
    #[cfg(test)]
    pub(crate) fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The sentence for people.
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    // 4xx, by code.

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::failure(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// 403 with `why`, after the real server's `<resource> "<name>" is forbidden: `.
    pub(crate) fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let what = qualified(group, resource);
        let message = match (what.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (false, true) => format!("{what} is forbidden: {why}"),
            (false, false) => format!("{what} {name:?} is forbidden: {why}"),
        };
        Self::failure(StatusCode::FORBIDDEN, "Forbidden", message).with(details(group, resource, name))
    }

    /// 403 of a namespace on its way out, with the cause clients test for.
    pub(crate) fn namespace_terminating(group: &str, resource: &str, name: &str, namespace: &str) -> Self {
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        Self::forbidden(group, resource, name, &why).with_causes(&[Cause {
            reason: "NamespaceTerminating",
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".to_owned(),
        }])
    }

    pub(crate) fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {name:?} not found", qualified(group, resource));
        Self::failure(StatusCode::NOT_FOUND, "NotFound", message).with(details(group, resource, name))
    }

    /// 404 for a resource the API group does not have.
    pub(crate) fn no_such_resource() -> Self {
        let message = "the server could not find the requested resource";
        Self::failure(StatusCode::NOT_FOUND, "NotFound", message).with(Map::new())
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::failure(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message).with(Map::new())
    }

    /// The same for a custom resource, by name.
    pub(crate) fn method_not_supported(group: &str, resource: &str, verb: &str) -> Self {
        let message = format!("{verb} is not supported on resources of kind {:?}", qualified(group, resource));
        Self::failure(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message).with(details(group, resource, ""))
    }

    pub(crate) fn not_acceptable(message: impl Into<String>) -> Self {
        Self::failure(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    pub(crate) fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", qualified(group, resource));
        Self::failure(StatusCode::CONFLICT, "AlreadyExists", message).with(details(group, resource, name))
    }

    /// Says that no unique name could be generated, and when to try again.
    pub(crate) fn for_a_generated_name(mut self) -> Self {
        self.0.message.push_str(", the server was not able to generate a unique name for the object");
        self.retry_after(1)
    }

    /// Says that the object of this name is being deleted.
    pub(crate) fn by_one_being_deleted(mut self) -> Self {
        self.0.message = format!("object is being deleted: {}", self.0.message);
        self
    }

    pub(crate) fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", qualified(group, resource));
        Self::failure(StatusCode::CONFLICT, "Conflict", message).with(details(group, resource, name))
    }

    /// 409 of server-side apply: one cause for each field that another manager owns.
    pub(crate) fn apply_conflict(causes: &[Cause]) -> Self {
        let message = match causes {
            [one] => format!("Apply failed with 1 conflict: {}: {}", one.message, one.field),
            many => {
                let by_manager = many.chunk_by(|left, right| left.message == right.message).map(|group| {
                    let fields: Vec<String> = group.iter().map(|cause| format!("- {}", cause.field)).collect();
                    let with = group[0].message.replacen("conflict", "conflicts", 1);
                    format!("{with}:\n{}", fields.join("\n"))
                });
                let listed: Vec<String> = by_manager.collect();
                format!("Apply failed with {} conflicts: {}", many.len(), listed.join("\n"))
            }
        };
        Self::failure(StatusCode::CONFLICT, "Conflict", message).with_causes(causes)
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::failure(StatusCode::GONE, "Expired", message)
    }

    pub(crate) fn too_large_body(limit: usize) -> Self {
        Self::too_large(format_args!("limit is {limit}"))
    }

    /// 413: the request asks for more than is done at once.
    pub(crate) fn too_large(why: impl std::fmt::Display) -> Self {
        Self::failure(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            format!("Request entity too large: {why}"),
        )
    }

    pub(crate) fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    /// The same, as the router of a real server says it, which leaves the details empty.
    pub(crate) fn with_empty_details(self) -> Self {
        self.with(Map::new())
    }

    /// 422: the object was understood and is not acceptable.
    pub(crate) fn invalid(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        let mut sentences: Vec<String> = Vec::with_capacity(causes.len());
        for sentence in causes.iter().map(Cause::sentence) {
            if !sentences.contains(&sentence) {
                sentences.push(sentence);
            }
        }
        let list = match sentences.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} {name:?} is invalid: {list}", qualified(group, kind));
        Self::failure(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
            .with(details(group, kind, name))
            .with_causes(causes)
    }

    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        Self::failure(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message).with(Map::new())
    }

    pub(crate) fn too_many_requests(seconds: u64) -> Self {
        let message = "Too many requests, please try again later.";
        Self::failure(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message).retry_after(seconds)
    }

    // 5xx.

    pub(crate) fn internal(message: impl std::fmt::Display) -> Self {
        let why = message.to_string();
        let mut details = Map::new();
        details.insert("causes".to_owned(), json!([{"message": why}]));
        let message = format!("Internal error occurred: {why}");
        Self::failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message).with(details)
    }

    /// For what this double leaves out and a real server has.
    pub(crate) fn not_implemented(what: impl std::fmt::Display) -> Self {
        let message = format!("kube-testserver does not do this: {what}");
        Self::failure(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::failure(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    /// 504 for a resource version the cluster has not reached.
    pub(crate) fn resource_version_too_large(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        Self::failure(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
            .with_causes(&[Cause {
                reason: "ResourceVersionTooLarge",
                message: "Too large resource version".to_owned(),
                field: String::new(),
            }])
            .retry_after(1)
    }

    /// The object on the wire.
    pub(crate) fn to_value(&self) -> Value {
        let body = &self.0;
        let mut metadata = Map::new();
        if let Some(token) = &body.continue_token {
            metadata.insert("continue".to_owned(), token.clone().into());
        }
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": metadata,
            "status": "Failure", "message": body.message, "code": body.code,
        });
        if !body.reason.is_empty() {
            status["reason"] = body.reason.as_ref().into();
        }
        if let Some(details) = &body.details {
            status["details"] = details.clone().into();
        }
        status
    }

    /// The whole response, `Retry-After` included.
    pub(crate) fn to_response(&self) -> Response<Bytes> {
        let code = StatusCode::from_u16(self.0.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json_response(code, &self.to_value());
        let seconds = self.0.details.as_ref().and_then(|details| details.get("retryAfterSeconds")?.as_u64());
        if let Some(seconds) = seconds {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// `Success` in the form a delete answers.
pub(crate) fn success(group: &str, resource: &str, name: &str, uid: &str) -> Value {
    let mut details = details(group, resource, name);
    details.insert("uid".to_owned(), uid.into());
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

/// A JSON answer.
pub(crate) fn json_response(code: StatusCode, value: &Value) -> Response<Bytes> {
    raw_response(code, "application/json", Bytes::from(value.to_string()))
}

/// An answer of any content type; the type is one of ours and always a valid header value.
pub(crate) fn raw_response(code: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}

/// What Go's mux answers for a path that is not served.
pub(crate) fn page_not_found() -> Response<Bytes> {
    raw_response(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", Bytes::from_static(b"404 page not found\n"))
}
