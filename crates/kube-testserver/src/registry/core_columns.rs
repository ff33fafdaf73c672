//! The columns of core types, with the names and the cells a real server prints.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::registry::{
    column::{Column, Source, age},
    pod_columns,
};

type Cell = fn(&Value, Timestamp) -> Value;

fn column(name: &str, kind: &str, priority: i64, cell: Cell) -> Column {
    Column {
        name: name.to_owned(),
        kind: kind.to_owned(),
        format: if name == "Name" { "name".to_owned() } else { String::new() },
        description: String::new(),
        priority,
        source: Source::Cell(cell),
    }
}

/// The object's name.
pub(crate) fn name_column() -> Column {
    column("Name", "string", 0, |object, _| or(&object["metadata"]["name"], ""))
}

/// When it was made, as a point in time (custom resources) ...
pub(crate) fn created_column() -> Column {
    Column {
        name: "Age".to_owned(),
        kind: "date".to_owned(),
        format: String::new(),
        description: String::new(),
        priority: 0,
        source: Source::Path(".metadata.creationTimestamp".to_owned()),
    }
}

fn age_of(object: &Value, now: Timestamp) -> Value {
    object["metadata"]["creationTimestamp"].as_str().map_or_else(|| "<unknown>".into(), |time| age(time, now))
}

fn count(value: &Value) -> Value {
    let entries = value.as_object().map_or(0, serde_json::Map::len) + value.as_array().map_or(0, Vec::len);
    entries.into()
}

fn or(value: &Value, otherwise: &str) -> Value {
    match value {
        Value::Null => otherwise.into(),
        Value::String(text) if text.is_empty() => otherwise.into(),
        other => other.clone(),
    }
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// What `kubectl get` shows of a core kind.
pub(crate) fn of_core(kind: &str) -> Vec<Column> {
    let mut columns = if kind == "Event" { Vec::new() } else { vec![name_column()] };
    let age = column("Age", "string", 0, age_of);
    let own: Vec<Column> = match kind {
        "ConfigMap" => vec![column("Data", "string", 0, |object, _| {
            (number(&count(&object["data"])) + number(&count(&object["binaryData"]))).into()
        })],
        "Secret" => vec![
            column("Type", "string", 0, |object, _| or(&object["type"], "")),
            column("Data", "string", 0, |object, _| count(&object["data"])),
        ],
        "Namespace" => vec![column("Status", "string", 0, |object, _| object["status"]["phase"].clone())],
        "Node" => vec![
            column("Status", "string", 0, |object, _| node_status(object)),
            column("Roles", "string", 0, |object, _| node_roles(object)),
            age,
            column("Version", "string", 0, |object, _| or(&object["status"]["nodeInfo"]["kubeletVersion"], "")),
            column("Internal-IP", "string", 1, |object, _| node_address(object, "InternalIP")),
            column("External-IP", "string", 1, |object, _| node_address(object, "ExternalIP")),
            column("OS-Image", "string", 1, |object, _| or(&object["status"]["nodeInfo"]["osImage"], "<unknown>")),
            column("Kernel-Version", "string", 1, |object, _| {
                or(&object["status"]["nodeInfo"]["kernelVersion"], "<unknown>")
            }),
            column("Container-Runtime", "string", 1, |object, _| {
                or(&object["status"]["nodeInfo"]["containerRuntimeVersion"], "<unknown>")
            }),
        ],
        "Pod" => vec![
            column("Ready", "string", 0, pod_columns::ready),
            column("Status", "string", 0, pod_columns::status),
            column("Restarts", "string", 0, pod_columns::restarts),
            age,
            column("IP", "string", 1, |object, _| or(&object["status"]["podIP"], "<none>")),
            column("Node", "string", 1, |object, _| or(&object["spec"]["nodeName"], "<none>")),
            column("Nominated Node", "string", 1, |object, _| or(&object["status"]["nominatedNodeName"], "<none>")),
            column("Readiness Gates", "string", 1, pod_columns::readiness_gates),
        ],
        "Service" => vec![
            column("Type", "string", 0, |object, _| or(&object["spec"]["type"], "ClusterIP")),
            column("Cluster-IP", "string", 0, |object, _| or(&object["spec"]["clusterIP"], "<none>")),
            column("External-IP", "string", 0, |_, _| "<none>".into()),
            column("Port(s)", "string", 0, |object, _| service_ports(object)),
            age,
            column("Selector", "string", 1, |object, _| pairs(&object["spec"]["selector"])),
        ],
        "Deployment" => vec![
            column("Ready", "string", 0, |object, _| {
                let wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
                format!("{}/{wanted}", number(&object["status"]["readyReplicas"])).into()
            }),
            column("Up-to-date", "string", 0, |object, _| number(&object["status"]["updatedReplicas"]).into()),
            column("Available", "string", 0, |object, _| number(&object["status"]["availableReplicas"]).into()),
            age,
            column("Containers", "string", 1, |object, _| of_containers(object, "name")),
            column("Images", "string", 1, |object, _| of_containers(object, "image")),
            column("Selector", "string", 1, |object, _| pairs(&object["spec"]["selector"]["matchLabels"])),
        ],
        "Lease" => vec![column("Holder", "string", 0, |object, _| or(&object["spec"]["holderIdentity"], ""))],
        "CustomResourceDefinition" => {
            vec![column("Created At", "date", 0, |object, _| object["metadata"]["creationTimestamp"].clone())]
        }
        "RoleBinding" | "ClusterRoleBinding" => vec![
            column("Role", "string", 0, |object, _| {
                let part = |field: &str| object["roleRef"][field].as_str().unwrap_or_default().to_owned();
                format!("{}/{}", part("kind"), part("name")).into()
            }),
            age,
            column("Users", "string", 1, |object, _| subjects(object, "User")),
            column("Groups", "string", 1, |object, _| subjects(object, "Group")),
            column("ServiceAccounts", "string", 1, |object, _| subjects(object, "ServiceAccount")),
        ],
        "Role" | "ClusterRole" => {
            vec![column("Created At", "date", 0, |object, _| object["metadata"]["creationTimestamp"].clone())]
        }
        "Event" => event_columns(),
        _ => Vec::new(),
    };
    let has_age = own.iter().any(|column| matches!(column.name.as_str(), "Age" | "Created At" | "Last Seen"));
    columns.extend(own);
    if !has_age {
        columns.push(column("Age", "string", 0, age_of));
    }
    columns
}

fn event_columns() -> Vec<Column> {
    vec![
        column("Last Seen", "string", 0, |object, now| {
            let times = ["lastTimestamp", "deprecatedLastTimestamp", "eventTime", "firstTimestamp"];
            let seen = times.iter().find_map(|field| object[field].as_str());
            seen.map_or_else(|| "<unknown>".into(), |time| age(time, now))
        }),
        column("Type", "string", 0, |object, _| or(&object["type"], "")),
        column("Reason", "string", 0, |object, _| object["reason"].clone()),
        column("Object", "string", 0, |object, _| {
            let about = if object["regarding"].is_object() { &object["regarding"] } else { &object["involvedObject"] };
            let kind = about["kind"].as_str().unwrap_or_default().to_lowercase();
            format!("{kind}/{}", about["name"].as_str().unwrap_or_default()).into()
        }),
        column("Subobject", "string", 1, |object, _| {
            let about = if object["regarding"].is_object() { &object["regarding"] } else { &object["involvedObject"] };
            or(&about["fieldPath"], "")
        }),
        column("Source", "string", 1, |object, _| event_source(object)),
        column("Message", "string", 0, |object, _| {
            let message = if object["note"].is_string() { &object["note"] } else { &object["message"] };
            or(message, "").as_str().map(str::trim).unwrap_or_default().into()
        }),
        column("First Seen", "string", 1, |object, now| {
            let times = ["firstTimestamp", "deprecatedFirstTimestamp", "eventTime"];
            let seen = times.iter().find_map(|field| object[field].as_str());
            seen.map_or_else(|| "<unknown>".into(), |time| age(time, now))
        }),
        column("Count", "string", 1, |object, _| {
            let counts = [&object["series"]["count"], &object["count"], &object["deprecatedCount"]];
            counts.into_iter().find_map(Value::as_i64).filter(|count| *count > 0).unwrap_or(1).into()
        }),
        column("Name", "string", 1, |object, _| object["metadata"]["name"].clone()),
    ]
}

/// The component that reports an event, and the host it is on.
fn event_source(event: &Value) -> Value {
    let source = if event["deprecatedSource"].is_object() { &event["deprecatedSource"] } else { &event["source"] };
    let reporter = ["reportingComponent", "reportingController"].iter().find_map(|field| event[field].as_str());
    let component = source["component"].as_str().filter(|component| !component.is_empty()).or(reporter);
    let host = source["host"].as_str().or(event["reportingInstance"].as_str()).filter(|host| !host.is_empty());
    let parts: Vec<&str> = component.into_iter().chain(host).collect();
    parts.join(", ").into()
}

/// `key=value` for each entry of a map.
fn pairs(map: &Value) -> Value {
    let entries = map.as_object().into_iter().flatten();
    let shown: Vec<String> =
        entries.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    if shown.is_empty() { "<none>".into() } else { shown.join(",").into() }
}

/// One field of each container in the template of a deployment.
fn of_containers(deployment: &Value, field: &str) -> Value {
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
    let shown: Vec<&str> = containers.filter_map(|container| container[field].as_str()).collect();
    shown.join(",").into()
}

fn node_address(node: &Value, kind: &str) -> Value {
    let addresses = node["status"]["addresses"].as_array().into_iter().flatten();
    let found = addresses.filter(|address| address["type"] == kind).find_map(|address| address["address"].as_str());
    found.unwrap_or("<none>").into()
}

/// The subjects of this kind in a binding.
fn subjects(binding: &Value, kind: &str) -> Value {
    let subjects = binding["subjects"].as_array().into_iter().flatten().filter(|subject| subject["kind"] == kind);
    let shown: Vec<String> = subjects
        .map(|subject| {
            let part = |field: &str| subject[field].as_str().unwrap_or_default();
            if kind == "ServiceAccount" {
                format!("{}/{}", part("namespace"), part("name"))
            } else {
                part("name").to_owned()
            }
        })
        .collect();
    shown.join(", ").into()
}

fn node_status(node: &Value) -> Value {
    let conditions = node["status"]["conditions"].as_array();
    let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
    let mut status = match ready {
        Some(ready) if ready["status"] == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if node["spec"]["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    status.into()
}

fn node_roles(node: &Value) -> Value {
    let labels = node["metadata"]["labels"].as_object();
    let mut roles: Vec<&str> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    if roles.is_empty() { "<none>".into() } else { json!(roles.join(",")) }
}

fn service_ports(service: &Value) -> Value {
    let ports: Vec<String> = service["spec"]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| {
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            match port["nodePort"].as_i64() {
                Some(node_port) if node_port > 0 => format!("{}:{node_port}/{protocol}", number(&port["port"])),
                _ => format!("{}/{protocol}", number(&port["port"])),
            }
        })
        .collect();
    if ports.is_empty() { "<none>".into() } else { ports.join(",").into() }
}
