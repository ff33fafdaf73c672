//! Discovery and `/version`: what this server serves, in the old and the aggregated form.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use crate::{
    api::store::objects::Store,
    registry::kinds::{Kind, Version},
    wire::{
        negotiate::{accepts_aggregated, accepts_json},
        status::{Status, json_response, raw_response},
    },
};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// What can be asked of this server that is no object, with its group, all in version 1: group, plural, singular, kind.
const REVIEWS: [(&str, &str, &str, &str); 3] = [
    ("authentication.k8s.io", "selfsubjectreviews", "selfsubjectreview", "SelfSubjectReview"),
    ("authentication.k8s.io", "tokenreviews", "tokenreview", "TokenReview"),
    ("authorization.k8s.io", "selfsubjectaccessreviews", "selfsubjectaccessreview", "SelfSubjectAccessReview"),
];
const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// The answer to a discovery path, if it is one.
pub(crate) fn answer(store: &Store, path: &str, headers: &HeaderMap) -> Option<Result<Response<Bytes>, Status>> {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let value = match segments.as_slice() {
        ["version"] => version(),
        ["api" | "apis"] if accepts_aggregated(headers) => {
            let body = aggregated(store, segments[0] == "api");
            let body = Bytes::from(body.to_string());
            return Some(Ok(raw_response(StatusCode::OK, AGGREGATED, body)));
        }
        ["api"] => json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        }),
        ["apis"] => {
            let groups: Vec<Value> = groups(store)
                .iter()
                .filter(|(group, _)| !group.is_empty())
                .map(|(group, versions)| api_group(group, versions))
                .collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        ["apis", group] => {
            let groups = groups(store);
            let mut value = api_group(group, groups.get(*group).filter(|_| !group.is_empty())?);
            value["kind"] = "APIGroup".into();
            value["apiVersion"] = "v1".into();
            value
        }
        ["api", version] => resource_list(store, "", version)?,
        ["apis", group, version] if !group.is_empty() => resource_list(store, group, version)?,
        _ => return None,
    };
    Some(accepts_json(headers).map(|()| json_response(StatusCode::OK, &value)))
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "gitVersion": "v1.36.0-testserver", "gitCommit": "", "gitTreeState": "",
        "buildDate": "", "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// Every served group with its versions, the preferred one first.
fn groups(store: &Store) -> BTreeMap<String, Vec<String>> {
    let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (group, ..) in REVIEWS {
        groups.entry(group.to_owned()).or_default().insert("v1".to_owned());
    }
    for kind in store.kinds() {
        let served = kind.versions.iter().filter(|version| version.served);
        let versions = served.map(|version| version.name.clone());
        groups.entry(kind.group.clone()).or_default().extend(versions);
    }
    let ordered = |versions: BTreeSet<String>| {
        let mut versions: Vec<String> = versions.into_iter().collect();
        versions.sort_by_key(|version| std::cmp::Reverse(priority(version)));
        versions
    };
    groups
        .into_iter()
        .filter(|(_, versions)| !versions.is_empty())
        .map(|(group, versions)| (group, ordered(versions)))
        .collect()
}

/// `v2` before `v1` before `v1beta2` before `v1alpha1` before anything else.
fn priority(version: &str) -> (u8, u64, u64) {
    let parsed = version.strip_prefix('v').and_then(|rest| {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let major: u64 = rest[..digits].parse().ok()?;
        let tail = &rest[digits..];
        match (tail.strip_prefix("beta"), tail.strip_prefix("alpha")) {
            _ if tail.is_empty() => Some((3, major, 0)),
            (Some(minor), _) => Some((2, major, minor.parse().ok()?)),
            (_, Some(minor)) => Some((1, major, minor.parse().ok()?)),
            _ => None,
        }
    });
    parsed.unwrap_or((0, 0, 0))
}

fn api_group(group: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
        .collect();
    json!({"name": group, "versions": versions, "preferredVersion": versions.first()})
}

/// The kinds of a group version, with their version.
pub(crate) fn served<'a>(
    store: &'a Store,
    group: &'a str,
    version: &'a str,
) -> impl Iterator<Item = (&'a Arc<Kind>, &'a Version)> {
    store
        .kinds()
        .filter(move |kind| kind.group == group)
        .filter_map(move |kind| Some((kind, &kind.versions[kind.served(version)?])))
}

/// A subresource: its name, and the group, version and kind of what it shows, if that is not the object itself.
type Subresource = (&'static str, Option<[&'static str; 3]>);

fn subresources(kind: &Kind, version: &Version) -> Vec<Subresource> {
    let mut found = Vec::new();
    if kind.is("", "namespaces") {
        found.push(("finalize", None));
    }
    if version.status {
        found.push(("status", None));
    }
    if version.scale.is_some() {
        found.push(("scale", Some(["autoscaling", "v1", "Scale"])));
    }
    if kind.is("certificates.k8s.io", "certificatesigningrequests") {
        found.push(("approval", None));
    }
    if kind.is("", "pods") {
        found.push(("ephemeralcontainers", None));
    }
    if kind.is("", "serviceaccounts") {
        found.push(("token", Some(["authentication.k8s.io", "v1", "TokenRequest"])));
    }
    found
}

fn sub_verbs(name: &str) -> Value {
    match name {
        "finalize" => json!(["update"]),
        "token" => json!(["create"]),
        _ => json!(["get", "patch", "update"]),
    }
}

fn verbs(kind: &Kind) -> Vec<&'static str> {
    let no_collection = kind.is("", "namespaces");
    VERBS.into_iter().filter(|verb| !(no_collection && *verb == "deletecollection")).collect()
}

/// The reviews of a group version: plural, singular, kind.
fn reviews(group: &str, version: &str) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    REVIEWS
        .into_iter()
        .filter(move |(of_group, ..)| *of_group == group && version == "v1")
        .map(|(_, plural, singular, kind)| (plural, singular, kind))
}

fn resource_list(store: &Store, group: &str, version: &str) -> Option<Value> {
    let mut resources = Vec::new();
    for (kind, served) in served(store, group, version) {
        let mut resource = json!({
            "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": verbs(kind),
        });
        if !kind.short_names.is_empty() {
            resource["shortNames"] = kind.short_names.clone().into();
        }
        if !kind.categories.is_empty() {
            resource["categories"] = kind.categories.clone().into();
        }
        resources.push(resource);
        for (name, other) in subresources(kind, served) {
            let mut resource = json!({
                "name": format!("{}/{name}", kind.plural), "singularName": "", "namespaced": kind.namespaced,
                "kind": kind.kind, "verbs": sub_verbs(name),
            });
            if let Some([group, version, kind]) = other {
                resource["group"] = group.into();
                resource["version"] = version.into();
                resource["kind"] = kind.into();
            }
            resources.push(resource);
        }
    }
    for (plural, singular, kind) in reviews(group, version) {
        resources.push(json!({
            "name": plural, "singularName": singular, "namespaced": false, "kind": kind, "verbs": ["create"],
        }));
    }
    if resources.is_empty() {
        return None;
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources,
    }))
}

fn aggregated(store: &Store, core: bool) -> Value {
    let items: Vec<Value> = groups(store)
        .iter()
        .filter(|(group, _)| group.is_empty() == core)
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    json!({
                        "version": version, "freshness": "Current",
                        "resources": aggregated_resources(store, group, version),
                    })
                })
                .collect();
            let metadata = if core { json!({}) } else { json!({"name": group}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    })
}

fn aggregated_resources(store: &Store, group: &str, version: &str) -> Vec<Value> {
    // The group and version of a built-in kind are empty there.
    let kind_of = |kind: &str| json!({"group": "", "version": "", "kind": kind});
    let scope = |namespaced: bool| if namespaced { "Namespaced" } else { "Cluster" };
    let mut resources: Vec<Value> = served(store, group, version)
        .map(|(kind, served)| {
            let own = if kind.custom {
                json!({"group": group, "version": version, "kind": kind.kind})
            } else {
                kind_of(&kind.kind)
            };
            let mut resource = json!({
                "resource": kind.plural, "responseKind": own, "scope": scope(kind.namespaced),
                "singularResource": kind.singular, "verbs": verbs(kind),
            });
            if !kind.short_names.is_empty() {
                resource["shortNames"] = kind.short_names.clone().into();
            }
            if !kind.categories.is_empty() {
                resource["categories"] = kind.categories.clone().into();
            }
            let subresources: Vec<Value> = subresources(kind, served)
                .into_iter()
                .map(|(name, other)| {
                    let shown =
                        other.map(|[group, version, kind]| json!({"group": group, "version": version, "kind": kind}));
                    let shown = shown.unwrap_or_else(|| own.clone());
                    json!({"subresource": name, "responseKind": shown, "verbs": sub_verbs(name)})
                })
                .collect();
            if !subresources.is_empty() {
                resource["subresources"] = subresources.into();
            }
            resource
        })
        .collect();
    for (plural, singular, kind) in reviews(group, version) {
        resources.push(json!({
            "resource": plural, "responseKind": kind_of(kind), "scope": "Cluster",
            "singularResource": singular, "verbs": ["create"],
        }));
    }
    resources
}
