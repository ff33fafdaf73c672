//! How `kubectl get pods` sums up a pod: its status, its ready containers and its restarts.

use jiff::Timestamp;
use serde_json::Value;

use crate::registry::column::age;

/// What the containers of a pod come to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    status: String,
    ready: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

/// The cell `Ready`: how many containers are ready, of how many.
pub(crate) fn ready(pod: &Value, _: Timestamp) -> Value {
    let containers = list(&pod["spec"]["containers"]).count();
    let sidecars = list(&pod["spec"]["initContainers"]).filter(|container| is_sidecar(container)).count();
    format!("{}/{}", summary(pod).ready, containers + sidecars).into()
}

/// The cell `Status`.
pub(crate) fn status(pod: &Value, _: Timestamp) -> Value {
    summary(pod).status.into()
}

/// The cell `Restarts`: how many, and how long ago the last one was.
pub(crate) fn restarts(pod: &Value, now: Timestamp) -> Value {
    let Summary { restarts, last_restart, .. } = summary(pod);
    match last_restart.filter(|_| restarts > 0) {
        Some(last) => {
            let ago = age(&last.to_string(), now);
            format!("{restarts} ({} ago)", ago.as_str().unwrap_or_default()).into()
        }
        None => restarts.to_string().into(),
    }
}

/// The cell `Readiness Gates`: how many of the conditions hold, of how many.
pub(crate) fn readiness_gates(pod: &Value, _: Timestamp) -> Value {
    let gates = list(&pod["spec"]["readinessGates"]).count();
    if gates == 0 {
        return "<none>".into();
    }
    let met = list(&pod["spec"]["readinessGates"])
        .filter(|gate| gate["conditionType"].as_str().is_some_and(|name| is_condition_true(pod, name)))
        .count();
    format!("{met}/{gates}").into()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn is_condition_true(pod: &Value, name: &str) -> bool {
    list(&pod["status"]["conditions"]).any(|condition| condition["type"] == name && condition["status"] == "True")
}

/// An init container that goes on beside the others.
fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

fn summary(pod: &Value) -> Summary {
    let mut summary = Summary { status: text(&pod["status"]["phase"]).to_owned(), ..Summary::default() };
    if !text(&pod["status"]["reason"]).is_empty() {
        text(&pod["status"]["reason"]).clone_into(&mut summary.status);
    }
    if list(&pod["status"]["conditions"])
        .any(|condition| condition["type"] == "PodScheduled" && condition["reason"] == "SchedulingGated")
    {
        "SchedulingGated".clone_into(&mut summary.status);
    }
    let sidecar_restarts = add_init_containers(pod, &mut summary);
    if sidecar_restarts.is_none_or(|_| is_condition_true(pod, "Initialized")) {
        add_containers(pod, &mut summary);
    }
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        if pod["status"]["reason"] == "NodeLost" {
            "Unknown".clone_into(&mut summary.status);
        } else if !matches!(text(&pod["status"]["phase"]), "Succeeded" | "Failed") {
            "Terminating".clone_into(&mut summary.status);
        }
    }
    summary
}

/// Adds the init containers. Returns the first one that has not done its work, if there is one.
fn add_init_containers(pod: &Value, summary: &mut Summary) -> Option<usize> {
    let declared: Vec<&Value> = list(&pod["spec"]["initContainers"]).collect();
    let is_sidecar = |status: &Value| declared.iter().any(|one| one["name"] == status["name"] && is_sidecar(one));
    let mut of_sidecars = Summary::default();
    for (at, container) in list(&pod["status"]["initContainerStatuses"]).enumerate() {
        add_restarts(container, summary);
        let sidecar = is_sidecar(container);
        if sidecar {
            add_restarts(container, &mut of_sidecars);
        }
        let (terminated, waiting) = (&container["state"]["terminated"], text(&container["state"]["waiting"]["reason"]));
        if terminated["exitCode"] == 0 {
            continue;
        }
        if sidecar && container["started"] == true {
            summary.ready += usize::from(container["ready"] == true);
            continue;
        }
        summary.status = match (ended(terminated), waiting) {
            (Some(how), _) => format!("Init:{how}"),
            (None, waiting) if !matches!(waiting, "" | "PodInitializing") => format!("Init:{waiting}"),
            _ => format!("Init:{at}/{}", declared.len()),
        };
        return Some(at);
    }
    // Once they are done, only those that go on count.
    (summary.restarts, summary.last_restart) = (of_sidecars.restarts, of_sidecars.last_restart);
    None
}

fn add_containers(pod: &Value, summary: &mut Summary) {
    let statuses: Vec<&Value> = list(&pod["status"]["containerStatuses"]).collect();
    let mut running = false;
    for container in statuses.into_iter().rev() {
        add_restarts(container, summary);
        let (state, waiting) = (&container["state"], text(&container["state"]["waiting"]["reason"]));
        if !waiting.is_empty() {
            waiting.clone_into(&mut summary.status);
        } else if let Some(how) = ended(&state["terminated"]) {
            summary.status = how;
        } else if container["ready"] == true && state["running"].is_object() {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.status == "Completed" && running {
        let status = if is_condition_true(pod, "Ready") { "Running" } else { "NotReady" };
        status.clone_into(&mut summary.status);
    }
}

fn add_restarts(container: &Value, summary: &mut Summary) {
    summary.restarts += container["restartCount"].as_i64().unwrap_or(0);
    let last = container["lastState"]["terminated"]["finishedAt"].as_str().and_then(|time| time.parse().ok());
    summary.last_restart = summary.last_restart.max(last);
}

/// How a container ended, if it has.
fn ended(terminated: &Value) -> Option<String> {
    terminated.is_object().then(|| match (text(&terminated["reason"]), terminated["signal"].as_i64()) {
        ("", Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        ("", _) => format!("ExitCode:{}", terminated["exitCode"].as_i64().unwrap_or(0)),
        (reason, _) => reason.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cells(spec: &Value, status: &Value, deleted: bool) -> [String; 3] {
        let mut pod = json!({"metadata": {}, "spec": spec, "status": status});
        if deleted {
            pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        [ready, status_of, restarts].map(|cell| cell(&pod, now).as_str().unwrap().to_owned())
    }

    fn status_of(pod: &Value, now: Timestamp) -> Value {
        status(pod, now)
    }

    #[test]
    fn containers_say_what_a_pod_does() {
        let one = json!({"containers": [{"name": "c"}]});
        let of = |container: Value| json!({"phase": "Running", "containerStatuses": [container]});
        let init = json!({"containers": [{"name": "c"}], "initContainers": [{"name": "i"}, {"name": "j"}]});
        let sidecar =
            json!({"containers": [{"name": "c"}], "initContainers": [{"name": "i", "restartPolicy": "Always"}]});
        for (spec, status, deleted, expected) in [
            (&one, json!({"phase": "Pending"}), false, ["0/1", "Pending", "0"]),
            (&one, json!({"phase": "Failed", "reason": "Evicted"}), false, ["0/1", "Evicted", "0"]),
            (&one, of(json!({"ready": true, "state": {"running": {}}})), false, ["1/1", "Running", "0"]),
            (&one, of(json!({"ready": true, "state": {"running": {}}})), true, ["1/1", "Terminating", "0"]),
            (
                &one,
                of(json!({"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}})),
                false,
                ["0/1", "CrashLoopBackOff", "3"],
            ),
            (
                &one,
                of(json!({
                    "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": {"terminated": {"finishedAt": "2026-01-01T00:55:00Z"}},
                })),
                false,
                ["0/1", "CrashLoopBackOff", "2 (5m ago)"],
            ),
            (&one, of(json!({"state": {"terminated": {"exitCode": 3}}})), false, ["0/1", "ExitCode:3", "0"]),
            (&one, of(json!({"state": {"terminated": {"signal": 9, "exitCode": 1}}})), false, ["0/1", "Signal:9", "0"]),
            (
                &one,
                of(json!({"state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}})),
                false,
                ["0/1", "OOMKilled", "0"],
            ),
            (
                &init,
                json!({"phase": "Pending", "initContainerStatuses": [
                    {"name": "i", "restartCount": 1, "state": {"terminated": {"exitCode": 0}}}, {"name": "j", "state": {"running": {}}},
                ]}),
                false,
                ["0/1", "Init:1/2", "1"],
            ),
            (
                &init,
                json!({"phase": "Pending", "initContainerStatuses": [
                    {"name": "i", "state": {"waiting": {"reason": "ImagePullBackOff"}}},
                ]}),
                false,
                ["0/1", "Init:ImagePullBackOff", "0"],
            ),
            (
                &sidecar,
                json!({
                    "phase": "Running",
                    "initContainerStatuses": [{"name": "i", "started": true, "ready": true, "restartCount": 1}],
                    "containerStatuses": [{"ready": true, "state": {"running": {}}}],
                }),
                false,
                ["2/2", "Running", "1"],
            ),
        ] {
            assert_eq!(cells(spec, &status, deleted), expected, "{status}");
        }
    }
}
