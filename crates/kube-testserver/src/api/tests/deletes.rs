//! Deletes, finalizers, namespaces.

use super::*;

fn with_finalizer(name: &str) -> Value {
    let mut object = widget(name, &json!({"size": 1}));
    object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    object
}

#[test]
fn a_delete_answers_a_status_and_the_object_is_gone() {
    let api = Api::new();
    let made = post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let target = format!("{CONFIGMAPS}/a");
    let answer = delete(&api, &target).expect(200);
    assert_eq!((&answer["kind"], &answer["status"]), (&json!("Status"), &json!("Success")));
    assert_eq!(answer["details"]["uid"], made["metadata"]["uid"]);
    delete(&api, &target).refused(404, "NotFound");
    assert_eq!(get(&api, &target).refused(404, "NotFound"), "configmaps \"a\" not found");
}

#[test]
fn preconditions_hold() {
    let api = Api::new();
    let made = post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let target = format!("{CONFIGMAPS}/a");
    let with = |conditions: Value| {
        let body = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": conditions});
        send(&api, "DELETE", &target, &[("content-type", "application/json")], &body.to_string())
    };
    with(json!({"uid": "other"})).refused(409, "Conflict");
    with(json!({"resourceVersion": "1"})).refused(409, "Conflict");
    with(json!({"uid": made["metadata"]["uid"], "resourceVersion": made["metadata"]["resourceVersion"]})).expect(200);
}

#[test]
fn an_object_stays_until_its_last_finalizer_is_removed() {
    let api = with_widgets();
    let target = format!("{WIDGETS}/w");
    post(&api, WIDGETS, &with_finalizer("w")).expect(201);
    let marked = delete(&api, &target).expect(200);
    assert_eq!(marked["kind"], "Widget");
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
    assert_eq!(marked["metadata"]["generation"], 2);
    assert_eq!(delete(&api, &target).expect(200), marked, "a second delete changes nothing");

    let more = json!({"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}});
    let message = patch(&api, &target, "merge", &more).refused(422, "Invalid");
    assert!(message.contains("no new finalizers can be added"), "{message}");
    patch(&api, &target, "merge", &json!({"metadata": {"labels": {"still": "here"}}})).expect(200);
    let last = patch(&api, &target, "merge", &json!({"metadata": {"finalizers": null}})).expect(200);
    assert_eq!(last["metadata"]["labels"]["still"], "here");
    get(&api, &target).refused(404, "NotFound");
}

#[test]
fn a_foreground_delete_waits_for_a_garbage_collector() {
    let api = Api::new();
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let target = format!("{CONFIGMAPS}/a?propagationPolicy=Foreground");
    let marked = delete(&api, &target).expect(200);
    assert_eq!(marked["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    delete(&api, &format!("{CONFIGMAPS}/a?propagationPolicy=Sideways")).refused(422, "Invalid");
}

#[test]
fn a_collection_is_deleted_by_selector() {
    let api = Api::new();
    for (name, app) in [("a", "x"), ("b", "y"), ("c", "x")] {
        let object = json!({"metadata": {"name": name, "labels": {"app": app}}});
        post(&api, CONFIGMAPS, &object).expect(201);
    }
    let gone = delete(&api, &format!("{CONFIGMAPS}?labelSelector=app=x")).expect(200);
    assert_eq!((names(&gone), &gone["kind"]), (vec!["a", "c"], &json!("ConfigMapList")));
    assert_eq!(names(&get(&api, CONFIGMAPS).expect(200)), ["b"]);
    delete(&api, "/api/v1/configmaps").refused(405, "MethodNotAllowed");
}

#[test]
fn a_running_pod_is_given_its_grace() {
    let api = Api::new();
    let pods = "/api/v1/namespaces/default/pods";
    let pod = |name: &str, spec: Value| json!({"metadata": {"name": name}, "spec": spec});
    post(&api, pods, &pod("waiting", json!({"containers": []}))).expect(201);
    post(&api, pods, &pod("running", json!({"nodeName": "n"}))).expect(201);
    assert_eq!(delete(&api, &format!("{pods}/waiting")).expect(200)["kind"], "Pod");
    get(&api, &format!("{pods}/waiting")).refused(404, "NotFound");
    let marked = delete(&api, &format!("{pods}/running")).expect(200);
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(get(&api, &format!("{pods}/running")).code, 200);
    // An update does not end it; only time or force does.
    patch(&api, &format!("{pods}/running"), "merge", &json!({"metadata": {"labels": {"a": "b"}}})).expect(200);
    delete(&api, &format!("{pods}/running?gracePeriodSeconds=0")).expect(200);
    get(&api, &format!("{pods}/running")).refused(404, "NotFound");
}

#[test]
fn a_namespace_takes_everything_in_it_along() {
    let api = with_widgets();
    post(&api, "/api/v1/namespaces", &json!({"metadata": {"name": "n"}})).expect(201);
    let inside = |path: &str| path.replace("default", "n");
    post(&api, &inside(CONFIGMAPS), &config_map("a", "1")).expect(201);
    post(&api, &inside(WIDGETS), &with_finalizer("w")).expect(201);
    let marked = delete(&api, "/api/v1/namespaces/n").expect(200);
    assert_eq!(marked["status"]["phase"], "Terminating");

    // It waits for what is held, and takes nothing new.
    assert!(names(&get(&api, &inside(CONFIGMAPS)).expect(200)).is_empty());
    let answer = post(&api, &inside(CONFIGMAPS), &config_map("b", "1"));
    assert_eq!(answer.body["details"]["causes"][0]["reason"], "NamespaceTerminating");
    answer.refused(403, "Forbidden");
    let before = api.resource_version();
    delete(&api, "/api/v1/namespaces/n").expect(200);
    assert_eq!(api.resource_version(), before, "a second delete changes nothing");

    patch(&api, &inside(&format!("{WIDGETS}/w")), "merge", &json!({"metadata": {"finalizers": []}})).expect(200);
    get(&api, "/api/v1/namespaces/n").refused(404, "NotFound");
}

#[test]
fn the_cluster_s_own_namespaces_stay() {
    let api = Api::new();
    for name in ["default", "kube-system", "kube-public"] {
        delete(&api, &format!("/api/v1/namespaces/{name}")).refused(403, "Forbidden");
    }
}

#[test]
fn only_finalize_changes_a_namespace_s_finalizers() {
    let api = Api::new();
    let made = post(&api, "/api/v1/namespaces", &json!({"metadata": {"name": "n"}})).expect(201);
    assert_eq!(made["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(made["metadata"]["labels"]["kubernetes.io/metadata.name"], "n");
    let mut mine = made;
    mine["spec"]["finalizers"] = json!(["kubernetes", "example.com/mine"]);
    assert_eq!(put(&api, "/api/v1/namespaces/n", &mine).expect(200)["spec"]["finalizers"], json!(["kubernetes"]));
    put(&api, "/api/v1/namespaces/n/finalize", &mine).expect(200);
    delete(&api, "/api/v1/namespaces/n").expect(200);
    let left = get(&api, "/api/v1/namespaces/n").expect(200);
    assert_eq!(left["spec"]["finalizers"], json!(["example.com/mine"]));
    let mut mine = left;
    mine["spec"]["finalizers"] = json!([]);
    put(&api, "/api/v1/namespaces/n/finalize", &mine).expect(200);
    get(&api, "/api/v1/namespaces/n").refused(404, "NotFound");
}

#[test]
fn a_collection_is_deleted_though_its_answer_cannot_be_given() {
    let api = Api::new();
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let accept = [("accept", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io")];
    send(&api, "DELETE", CONFIGMAPS, &accept, "").refused(406, "NotAcceptable");
    get(&api, &format!("{CONFIGMAPS}/a")).refused(404, "NotFound");
}
