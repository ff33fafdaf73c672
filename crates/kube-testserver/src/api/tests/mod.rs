//! The API's behaviour, request by request, with no server around it.

mod any_request;
mod applies;
mod definitions;
mod deletes;
mod discovery;
mod lists;
mod objects;
mod patches;
mod tables;
mod watches;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::{Value, json};

use crate::{
    api::{entry::Api, present::watch::Watch, reply::Reply},
    wire::call::{Call, Caller},
};

const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";
const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A whole answer.
#[derive(Debug)]
struct Answer {
    code: u16,
    headers: HeaderMap,
    text: String,
    body: Value,
}

impl Answer {
    #[track_caller]
    fn expect(self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}", self.text);
        self.body
    }

    /// A failure's reason and message.
    #[track_caller]
    fn refused(self, code: u16, reason: &str) -> String {
        assert_eq!((self.code, self.body["reason"].as_str()), (code, Some(reason)), "{}", self.text);
        assert_eq!(self.body["kind"], "Status");
        assert_eq!(self.body["code"], code);
        assert_eq!(self.body["status"], "Failure");
        self.body["message"].as_str().unwrap().to_owned()
    }
}

fn call(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Call {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: header::HeaderName = name.parse().unwrap();
        map.insert(name, HeaderValue::from_str(value).unwrap());
    }
    Call {
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        path: path.to_owned(),
        query: query.map(str::to_owned),
        headers: map,
        body: Bytes::from(body.to_owned()),
        caller: Caller { username: "alice".to_owned(), groups: vec!["devs".to_owned()], ..Caller::default() },
    }
}

#[track_caller]
fn send(api: &Api, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    match api.answer(call(method, target, headers, body)) {
        Reply::Whole(response) => {
            let text = String::from_utf8(response.body().to_vec()).unwrap();
            Answer {
                code: response.status().as_u16(),
                headers: response.headers().clone(),
                body: serde_json::from_str(&text).unwrap_or_default(),
                text,
            }
        }
        Reply::Watch(_) => panic!("{target} opened a watch"),
    }
}

#[track_caller]
fn get(api: &Api, target: &str) -> Answer {
    send(api, "GET", target, &[], "")
}

#[track_caller]
fn post(api: &Api, target: &str, body: &Value) -> Answer {
    send(api, "POST", target, &[("content-type", "application/json")], &body.to_string())
}

#[track_caller]
fn put(api: &Api, target: &str, body: &Value) -> Answer {
    send(api, "PUT", target, &[("content-type", "application/json")], &body.to_string())
}

#[track_caller]
fn delete(api: &Api, target: &str) -> Answer {
    send(api, "DELETE", target, &[], "")
}

#[track_caller]
fn patch(api: &Api, target: &str, kind: &str, body: &Value) -> Answer {
    let suffix = if kind == "apply" { "yaml" } else { "json" };
    let content_type = format!("application/{kind}-patch+{suffix}");
    send(api, "PATCH", target, &[("content-type", &content_type)], &body.to_string())
}

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}})
}

/// A definition of widgets, with a status of their own and a keyed list in it.
fn widgets() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "selectableFields": [{"jsonPath": ".spec.color"}],
                "additionalPrinterColumns": [
                    {"name": "Color", "type": "string", "jsonPath": ".spec.color"},
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size", "priority": 1},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
                        "color": {"type": "string"}, "size": {"type": "integer"},
                        "parts": {"type": "array", "items": {"type": "string"}},
                    }},
                    "status": {"type": "object", "properties": {
                        "ready": {"type": "boolean"},
                        "conditions": {
                            "type": "array", "x-kubernetes-list-type": "map",
                            "x-kubernetes-list-map-keys": ["type"], "items": {
                                "type": "object", "required": ["type"], "x-kubernetes-preserve-unknown-fields": true,
                                "properties": {"type": {"type": "string"}},
                            },
                        },
                    }},
                }}},
            }],
        },
    })
}

fn widget(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

fn with_widgets() -> Api {
    let api = Api::new();
    api.install(&widgets()).unwrap();
    api
}

fn rv(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

#[track_caller]
fn watch(api: &Api, target: &str) -> Watch {
    watch_as(api, target, &[])
}

#[track_caller]
fn watch_as(api: &Api, target: &str, headers: &[(&str, &str)]) -> Watch {
    match api.answer(call("GET", target, headers, "")) {
        Reply::Watch(watch) => watch,
        Reply::Whole(response) => panic!("{response:?}"),
    }
}

/// The next frame: its type and object.
async fn next(watch: &mut Watch) -> (String, Value) {
    let line = watch.next().await.expect("the watch goes on");
    assert!(line.ends_with(b"\n"));
    let mut frame: Value = serde_json::from_slice(&line).unwrap();
    (frame["type"].as_str().unwrap().to_owned(), frame["object"].take())
}

/// The next frame in short: `ADDED name`.
async fn next_short(watch: &mut Watch) -> String {
    let (kind, object) = next(watch).await;
    format!("{kind} {}", object["metadata"]["name"].as_str().unwrap_or_default())
}
