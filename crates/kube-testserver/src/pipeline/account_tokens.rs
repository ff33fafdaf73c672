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

use crate::{
    access::{
        authn::{API_AUDIENCE, Identity, Presented, ServiceAccount},
        credential::{Credential, Fingerprint, User},
    },
    pipeline::cluster::Cluster,
    wire::{
        protobuf,
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
pub(super) fn answer(cluster: &Cluster, info: &RequestInfo, body: &Bytes) -> Option<Result<Response<Bytes>, Status>> {
    let creates = info.verb == Verb::Create;
    match (&*info.group, &*info.version, &*info.resource, info.subresource.as_deref()) {
        ("", "v1", "serviceaccounts", Some("token")) if info.name.is_some() => {
            Some(if creates { request(cluster, info, body) } else { Err(Status::method_not_allowed()) })
        }
        ("authentication.k8s.io", "v1", "tokenreviews", None) => {
            Some(if creates && info.name.is_none() { review(cluster, body) } else { Err(Status::method_not_allowed()) })
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

fn read(body: &Bytes, kind: &str) -> Result<Value, Status> {
    let object = if protobuf::is(body) {
        protobuf::read(body)?
    } else {
        serde_json::from_slice(body)
            .map_err(|error| Status::bad_request(format!("the object provided is unrecognized: {error}")))?
    };
    let is_one = object.is_object() && matches!(object["kind"].as_str(), None | Some("")) || object["kind"] == kind;
    if is_one { Ok(object) } else { Err(Status::bad_request(format!("the object provided is no {kind}"))) }
}

fn request(cluster: &Cluster, info: &RequestInfo, body: &Bytes) -> Result<Response<Bytes>, Status> {
    let asked = read(body, "TokenRequest")?;
    let (namespace, name) = (info.namespace.as_deref().unwrap_or_default(), info.name.as_deref().unwrap_or_default());
    let uid = cluster.api.uid_of("serviceaccounts", namespace, name);
    let uid = uid.ok_or_else(|| Status::not_found("", "serviceaccounts", name))?;
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
    let user = User::new(format!("{ACCOUNT}{namespace}:{name}"))
        .group("system:serviceaccounts")
        .group(format!("system:serviceaccounts:{namespace}"))
        .uid(&*uid);
    let token = token(&user, &audiences, now, lifetime);
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
fn token(user: &User, audiences: &[String], now: Timestamp, lifetime: SignedDuration) -> String {
    let random = || uuid::Uuid::new_v4();
    let encoded = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let head = encoded(&json!({"alg": "none", "typ": "JWT"}));
    let claims = encoded(&json!({
        "aud": audiences, "iss": API_AUDIENCE, "sub": user.name(), "jti": random().to_string(),
        "iat": now.as_second(), "nbf": now.as_second(), "exp": now.as_second() + lifetime.as_secs(),
    }));
    let signature = BASE64_URL_SAFE_NO_PAD.encode([random().into_bytes(), random().into_bytes()].concat());
    format!("{head}.{claims}.{signature}")
}

fn shown(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn review(cluster: &Cluster, body: &Bytes) -> Result<Response<Bytes>, Status> {
    let mut review = read(body, "TokenReview")?;
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
