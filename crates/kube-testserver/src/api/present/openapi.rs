//! `OpenAPI` documents, as far as clients need them to send a patch.
//!
//! They name every operation and its `fieldValidation` parameter, and carry the schemas of the kinds that have one here. The
//! version 2 document is left out.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::{
    api::{present::discovery::served, store::objects::Store},
    registry::{
        kinds::{Kind, Version},
        structural::builtin,
    },
    wire::status::{Status, json_response},
};

/// The name of the schema of metadata, to which the others refer.
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The answer to an `OpenAPI` path, if it is one.
pub(crate) fn answer(store: &Store, path: &str) -> Option<Result<Response<Bytes>, Status>> {
    let path = path.strip_prefix("/openapi/")?;
    let value = match path.split('/').collect::<Vec<_>>().as_slice() {
        ["v2"] => return Some(Err(Status::not_implemented("the path /openapi/v2, only /openapi/v3"))),
        ["v3"] => index(store),
        ["v3", "api", version] => document(store, "", version)?,
        ["v3", "apis", group, version] => document(store, group, version)?,
        _ => return None,
    };
    Some(Ok(json_response(StatusCode::OK, &value)))
}

fn index(store: &Store) -> Value {
    let mut paths = Map::new();
    for kind in store.kinds() {
        for version in kind.versions.iter().filter(|version| version.served) {
            let path = base(&kind.group, &version.name);
            // Changes with every write, so that no client caches a document for too long.
            let url = format!("/openapi/v3/{path}?hash={:016X}", store.rv());
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
    }
    json!({"paths": paths})
}

fn base(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

fn document(store: &Store, group: &str, version: &str) -> Option<Value> {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for (kind, served) in served(store, group, version) {
        let scope = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("/{}{scope}/{}", base(group, version), kind.plural);
        let identity = json!({"group": group, "version": version, "kind": kind.kind});
        let operation = |action: &str| {
            json!({
                "x-kubernetes-action": action, "x-kubernetes-group-version-kind": identity,
                "parameters": parameters(), "responses": {"200": {"description": "OK"}},
            })
        };
        paths.insert(collection.clone(), json!({"post": operation("post")}));
        paths.insert(format!("{collection}/{{name}}"), json!({"patch": operation("patch"), "put": operation("put")}));
        if let Some(declared) = &served.openapi {
            schemas.insert(schema_name(kind, served), schema(declared.clone(), &identity));
        }
    }
    if paths.is_empty() {
        return None;
    }
    if !schemas.is_empty() {
        schemas.insert(OBJECT_META.to_owned(), builtin::object_meta_schema());
    }
    Some(json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.0-testserver"},
        "paths": paths, "components": {"schemas": schemas},
    }))
}

fn parameters() -> Value {
    let parameter =
        |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    json!([parameter("dryRun"), parameter("fieldManager"), parameter("fieldValidation")])
}

fn schema_name(kind: &Kind, version: &Version) -> String {
    let group = if kind.group.is_empty() { "io.k8s.api.core".to_owned() } else { reversed(&kind.group) };
    format!("{group}.{}.{}", version.name, kind.kind)
}

fn reversed(group: &str) -> String {
    group.rsplit('.').collect::<Vec<_>>().join(".")
}

fn schema(declared: Value, identity: &Value) -> Value {
    let mut schema = with_type_and_metadata(declared);
    schema["x-kubernetes-group-version-kind"] = json!([identity]);
    schema
}

/// Adds the fields that every object has, which a definition need not declare.
fn with_type_and_metadata(mut schema: Value) -> Value {
    let convention = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";
    for (field, typed, described) in [
        (
            "apiVersion",
            json!({"type": "string"}),
            format!("The version of the schema of this object. More info: {convention}#resources"),
        ),
        (
            "kind",
            json!({"type": "string"}),
            format!("The REST resource this object represents. More info: {convention}#types-kinds"),
        ),
        (
            "metadata",
            json!({"allOf": [{"$ref": format!("#/components/schemas/{OBJECT_META}")}]}),
            format!("Standard object's metadata. More info: {convention}#metadata"),
        ),
    ] {
        let declared = schema["properties"][field]["description"].as_str().map(str::to_owned);
        schema["properties"][field] = typed;
        schema["properties"][field]["description"] = declared.unwrap_or(described).into();
    }
    schema
}
