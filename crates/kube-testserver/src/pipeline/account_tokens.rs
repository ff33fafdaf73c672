//! Tokens of service accounts: `TokenRequest`, which issues one, and `TokenReview`, which says whose a token is.
//!
//! They need the credentials and the objects of the cluster. A token looks like a JWT and can be read like one, but its
//! signature is random: only this server can check it.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    access::{
        authn::{API_AUDIENCE, Identity, Presented, ServiceAccount},
        credential::{Credential, Fingerprint, User},
    },
    pipeline::cluster::Cluster,
    wire::{
        call::Call,
        object_body,
        route::{RequestInfo, Verb},
        status::{Cause, Status, json_response},
    },
};

const API_VERSION: &str = "authentication.k8s.io/v1";
const DEFAULT_SECONDS: i64 = 3600;
const LEAST_SECONDS: i64 = 600;
const MOST_SECONDS: i64 = 1 << 32;
const ACCOUNT: &str = "system:serviceaccount:";

/// The answer, if the request is one of the two.
pub(super) fn answer(cluster: &Cluster, info: &RequestInfo, call: &Call) -> Option<Result<Response<Bytes>, Status>> {
    let creates = info.verb == Verb::Create;
    match (&*info.group, &*info.version, &*info.resource, info.subresource.as_deref()) {
        ("", "v1", "serviceaccounts", Some("token")) if info.name.is_some() => {
            Some(if creates { request(cluster, info, call) } else { Err(Status::method_not_allowed()) })
        }
        ("authentication.k8s.io", "v1", "tokenreviews", None) => {
            Some(if creates && info.name.is_none() { review(cluster, call) } else { Err(Status::method_not_allowed()) })
        }
        _ => None,
    }
}

/// Whether the account that a token was issued for is still there. Nothing is looked up for other credentials.
pub(super) fn is_known(cluster: &Cluster, credential: Fingerprint) -> bool {
    cluster.credentials.account(credential).is_none_or(|account| {
        cluster.api.uid_of("serviceaccounts", &account.namespace, &account.name) == Some(account.uid)
    })
}

const REQUEST: [(&str, &str); 6] = [
    ("/metadata/name", "string"),
    ("/metadata/namespace", "string"),
    ("/metadata/uid", "string"),
    ("/spec", "object"),
    ("/spec/expirationSeconds", "int64"),
    ("/spec/audiences", "[]string"),
];
const REVIEW: [(&str, &str); 3] = [("/spec", "object"), ("/spec/token", "string"), ("/spec/audiences", "[]string")];

/// A value that a field of this type cannot hold is 400.
fn check_types(object: &Value, kind: &str, fields: &[(&str, &str)]) -> Result<(), Status> {
    let fits = |value: &Value, wanted: &str| match wanted {
        "string" => value.is_string(),
        "object" => value.is_object(),
        "int64" => value.is_i64(),
        _ => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
    };
    for &(pointer, wanted) in fields {
        let value = object.pointer(pointer).filter(|value| !value.is_null() && !fits(value, wanted));
        if let Some(value) = value {
            let complaint = object_body::cannot_unmarshal(value, kind, &pointer[1..].replace('/', "."), wanted);
            let message = format!("{kind} in version \"v1\" cannot be handled as a {kind}: {complaint}");
            return Err(Status::bad_request(message));
        }
    }
    Ok(())
}

/// Refuses a body that names another account than the path.
fn check_account(metadata: &Value, namespace: &str, name: &str) -> Result<(), Status> {
    for (field, expected) in [("name", name), ("namespace", namespace)] {
        let said = metadata[field].as_str().unwrap_or_default();
        if !said.is_empty() && said != expected {
            let rule = format!("must match the service account {field} if specified");
            let cause = Cause::invalid(format!("metadata.{field}"), said, &rule);
            return Err(Status::invalid("authentication.k8s.io", "TokenRequest", name, &[cause]));
        }
    }
    Ok(())
}

fn request(cluster: &Cluster, info: &RequestInfo, call: &Call) -> Result<Response<Bytes>, Status> {
    let asked = object_body::read_question(&call.headers, &call.body, "TokenRequest")?;
    check_types(&asked, "TokenRequest", &REQUEST)?;
    let (namespace, name) = (info.namespace.as_deref().unwrap_or_default(), info.name.as_deref().unwrap_or_default());
    check_account(&asked["metadata"], namespace, name)?;
    let uid = cluster.api.uid_of("serviceaccounts", namespace, name);
    let uid = uid.ok_or_else(|| Status::not_found("", "serviceaccounts", name))?;
    let said = asked["metadata"]["uid"].as_str().unwrap_or_default();
    if !said.is_empty() && *said != *uid {
        let complaint =
            format!("the UID in the token request ({said}) does not match the UID of the service account ({uid})");
        return Err(Status::conflict("authentication.k8s.io", "TokenRequest", name, &complaint));
    }
    let spec = &asked["spec"];
    if !spec["boundObjectRef"].is_null() {
        return Err(Status::not_implemented("a token that is bound to an object"));
    }
    let seconds = spec["expirationSeconds"].as_i64().unwrap_or(DEFAULT_SECONDS);
    let rule = match seconds {
        ..LEAST_SECONDS => Some("may not specify a duration less than 10 minutes"),
        LEAST_SECONDS..=MOST_SECONDS => None,
        _ => Some("may not specify a duration larger than 2^32 seconds"),
    };
    if let Some(rule) = rule {
        let cause = Cause::invalid_raw("spec.expirationSeconds", &seconds.to_string(), rule);
        return Err(Status::invalid("authentication.k8s.io", "TokenRequest", "", &[cause]));
    }
    let audiences = match texts(&spec["audiences"]) {
        none if none.is_empty() => vec![API_AUDIENCE.to_owned()],
        some => some,
    };
    let now = cluster.clock.now();
    let lifetime = SignedDuration::from_secs(seconds);
    let id = Uuid::new_v4();
    let user = User::new(format!("{ACCOUNT}{namespace}:{name}"))
        .group("system:serviceaccounts")
        .group(format!("system:serviceaccounts:{namespace}"))
        .uid(&*uid)
        .extra("authentication.kubernetes.io/credential-id", format!("JTI={id}"));
    let token = token(&user, id, &audiences, now, lifetime);
    let credential = Credential::from_token(user, token.clone());
    let account = ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned(), uid: uid.clone() };
    let (lasts, issued) = (lifetime.unsigned_abs(), Instant::now());
    cluster.credentials.accept_for(account, &credential, audiences.clone(), lasts, issued);
    let until = now.checked_add(lifetime).unwrap_or(Timestamp::MAX);
    let answer = json!({
        "kind": "TokenRequest", "apiVersion": API_VERSION,
        "metadata": {"name": name, "namespace": namespace, "uid": uid, "creationTimestamp": shown(now)},
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": null},
        "status": {"token": token, "expirationTimestamp": shown(until)},
    });
    Ok(json_response(StatusCode::CREATED, &answer))
}

/// A token with the usual claims and a random signature.
fn token(user: &User, id: Uuid, audiences: &[String], now: Timestamp, lifetime: SignedDuration) -> String {
    let encoded = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let head = encoded(&json!({"alg": "none", "typ": "JWT"}));
    let claims = encoded(&json!({
        "aud": audiences, "iss": API_AUDIENCE, "sub": user.name(), "jti": id.to_string(),
        "iat": now.as_second(), "nbf": now.as_second(), "exp": now.as_second() + lifetime.as_secs(),
    }));
    let signature = BASE64_URL_SAFE_NO_PAD.encode([Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat());
    format!("{head}.{claims}.{signature}")
}

fn shown(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn review(cluster: &Cluster, call: &Call) -> Result<Response<Bytes>, Status> {
    let mut review = object_body::read_question(&call.headers, &call.body, "TokenReview")?;
    check_types(&review, "TokenReview", &REVIEW)?;
    let token = review["spec"]["token"].as_str().unwrap_or_default();
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let wanted = match texts(&review["spec"]["audiences"]) {
        none if none.is_empty() => vec![API_AUDIENCE.to_owned()],
        some => some,
    };
    let fingerprint = Fingerprint::of_token(token);
    let presented = Presented { certificate: None, token: Some(fingerprint) };
    let known = cluster.credentials.identify_for(&wanted, presented, Instant::now());
    let status = match known {
        Identity::Known(user, by) if is_known(cluster, by) => {
            let audiences: Vec<String> = cluster.credentials.audiences(fingerprint);
            let common: Vec<&String> = wanted.iter().filter(|wanted| audiences.contains(wanted)).collect();
            let mut shown = json!({"username": user.name(), "groups": user.groups()});
            if let Some(uid) = user.uid_if_any() {
                shown["uid"] = uid.into();
            }
            if !user.extras().is_empty() {
                shown["extra"] = json!(user.extras());
            }
            json!({"authenticated": true, "user": shown, "audiences": common})
        }
        _ => json!({"user": {}, "error": "invalid bearer token"}),
    };
    review["kind"] = "TokenReview".into();
    review["apiVersion"] = API_VERSION.into();
    review["metadata"] = json!({});
    review["status"] = status;
    Ok(json_response(StatusCode::CREATED, &review))
}
