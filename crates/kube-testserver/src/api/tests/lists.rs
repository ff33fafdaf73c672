//! Lists, pages, selectors and resource versions.

use super::*;

fn with_maps(names: &[&str]) -> Api {
    let api = Api::new();
    for name in names {
        post(&api, CONFIGMAPS, &config_map(name, "1")).expect(201);
    }
    api
}

#[test]
fn a_list_is_ordered_and_says_when_it_was_taken() {
    let api = with_maps(&["b", "a"]);
    post(&api, "/api/v1/namespaces/kube-public/configmaps", &config_map("0", "1")).expect(201);
    let list = get(&api, "/api/v1/configmaps").expect(200);
    assert_eq!(names(&list), ["a", "b", "0", "extension-apiserver-authentication"]);
    assert_eq!((&list["kind"], rv(&list)), (&json!("ConfigMapList"), api.resource_version()));
    assert_eq!(names(&get(&api, CONFIGMAPS).expect(200)), ["a", "b"]);
    assert!(names(&get(&api, "/api/v1/namespaces/none/configmaps").expect(200)).is_empty());
}

#[test]
fn pages_show_one_moment() {
    let api = with_maps(&["a", "b", "c", "d", "e"]);
    let first = get(&api, &format!("{CONFIGMAPS}?limit=2")).expect(200);
    assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["a", "b"], &json!(3)));
    delete(&api, &format!("{CONFIGMAPS}/c")).expect(200);
    post(&api, CONFIGMAPS, &config_map("aa", "1")).expect(201);
    post(&api, CONFIGMAPS, &config_map("dd", "1")).expect(201);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = get(&api, &format!("{CONFIGMAPS}?limit=2&continue={token}")).expect(200);
    assert_eq!((names(&second), rv(&second)), (vec!["c", "d"], rv(&first)));
    let token = second["metadata"]["continue"].as_str().unwrap();
    let third = get(&api, &format!("{CONFIGMAPS}?limit=2&continue={token}")).expect(200);
    assert_eq!(names(&third), ["e"]);
    assert!(third["metadata"].get("continue").is_none());
    get(&api, &format!("{CONFIGMAPS}?limit=2&continue=nonsense")).refused(400, "BadRequest");
    get(&api, &format!("{CONFIGMAPS}?continue={token}&resourceVersion=3")).refused(400, "BadRequest");
}

#[test]
fn pages_of_a_selection_do_not_count_the_rest() {
    let api = with_maps(&["a", "b", "c"]);
    let page = get(&api, &format!("{CONFIGMAPS}?limit=1&fieldSelector=metadata.name!=a")).expect(200);
    assert_eq!(names(&page), ["b"]);
    assert!(page["metadata"].get("remainingItemCount").is_none());
    assert!(page["metadata"]["continue"].is_string());
}

#[test]
fn after_a_compaction_a_page_is_expired_and_says_how_to_go_on() {
    let api = with_maps(&["a", "b", "c"]);
    let first = get(&api, &format!("{CONFIGMAPS}?limit=1")).expect(200);
    post(&api, CONFIGMAPS, &config_map("d", "1")).expect(201);
    api.compact();
    let token = first["metadata"]["continue"].as_str().unwrap();
    let answer = get(&api, &format!("{CONFIGMAPS}?limit=1&continue={token}"));
    let onward = answer.body["metadata"]["continue"].as_str().unwrap().to_owned();
    assert!(answer.refused(410, "Expired").starts_with("The provided continue parameter is too old"));
    let rest = get(&api, &format!("{CONFIGMAPS}?continue={onward}")).expect(200);
    assert_eq!((names(&rest), rv(&rest)), (vec!["b", "c", "d"], api.resource_version()));
    let old = rv(&first);
    get(&api, &format!("{CONFIGMAPS}?resourceVersion={old}&resourceVersionMatch=Exact")).refused(410, "Expired");
}

#[test]
fn the_resource_version_says_which_moment() {
    let api = with_maps(&["a", "b"]);
    let now = api.resource_version();
    post(&api, CONFIGMAPS, &config_map("c", "1")).expect(201);
    let list = |query: &str| get(&api, &format!("{CONFIGMAPS}?{query}"));
    let exact = list(&format!("resourceVersion={now}&resourceVersionMatch=Exact")).expect(200);
    assert_eq!((names(&exact), rv(&exact)), (vec!["a", "b"], now));
    for query in [
        format!("resourceVersion={now}&resourceVersionMatch=NotOlderThan"),
        format!("resourceVersion={now}"),
        "resourceVersion=0".to_owned(),
        String::new(),
    ] {
        assert_eq!(names(&list(&query).expect(200)), ["a", "b", "c"], "{query}");
    }
    let answer = list("resourceVersion=999999");
    assert_eq!(answer.body["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    assert_eq!(answer.headers["retry-after"], "1");
    answer.refused(504, "Timeout");
    for query in [
        "resourceVersionMatch=Exact",
        "resourceVersion=0&resourceVersionMatch=Exact",
        "resourceVersion=1&resourceVersionMatch=Roughly",
        "sendInitialEvents=true",
        "watch=1&resourceVersionMatch=NotOlderThan",
        "watch=1&sendInitialEvents=true",
    ] {
        list(query).refused(422, "Invalid");
    }
    list("resourceVersion=x").refused(400, "BadRequest");
    list("limit=x").refused(400, "BadRequest");
}

#[test]
fn selectors_select() {
    let api = with_widgets();
    for (name, color, label) in [("a", "red", "x"), ("b", "blue", "y"), ("c", "red", "y")] {
        let mut object = widget(name, &json!({"color": color}));
        object["metadata"]["labels"] = json!({"l": label});
        post(&api, WIDGETS, &object).expect(201);
    }
    for (query, expected) in [
        ("labelSelector=l%3Dy", vec!["b", "c"]),
        ("labelSelector=l+in+(x,z)", vec!["a"]),
        ("fieldSelector=spec.color%3Dred", vec!["a", "c"]),
        ("fieldSelector=spec.color=red,metadata.name!=a", vec!["c"]),
        ("fieldSelector=metadata.namespace=other", vec![]),
        ("labelSelector=l=y&fieldSelector=spec.color=red", vec!["c"]),
    ] {
        assert_eq!(names(&get(&api, &format!("{WIDGETS}?{query}")).expect(200)), expected, "{query}");
    }
    let message = get(&api, &format!("{WIDGETS}?fieldSelector=spec.size=1")).refused(400, "BadRequest");
    assert_eq!(message, "field label not supported: spec.size");
    get(&api, &format!("{WIDGETS}?labelSelector=a=b=c")).refused(400, "BadRequest");
}

#[test]
fn metadata_alone_can_be_asked_for() {
    let api = with_maps(&["a"]);
    let accept = |form: &str| format!("application/json;as={form};g=meta.k8s.io;v=v1");
    let one = accept("PartialObjectMetadata");
    let many = accept("PartialObjectMetadataList");
    let target = format!("{CONFIGMAPS}/a");
    let object = send(&api, "GET", &target, &[("accept", &one)], "").expect(200);
    assert_eq!((&object["kind"], object.get("data")), (&json!("PartialObjectMetadata"), None));
    let list = send(&api, "GET", CONFIGMAPS, &[("accept", &many)], "").expect(200);
    assert_eq!((&list["kind"], names(&list)), (&json!("PartialObjectMetadataList"), vec!["a"]));
    send(&api, "GET", CONFIGMAPS, &[("accept", &one)], "").refused(406, "NotAcceptable");
    send(&api, "GET", &target, &[("accept", &many)], "").refused(406, "NotAcceptable");
}

#[test]
fn a_page_goes_on_at_the_same_place_in_another_namespace() {
    const ELSEWHERE: &str = "/api/v1/namespaces/kube-public/configmaps";
    let api = with_maps(&["a", "b", "c"]);
    for name in ["a", "b", "c"] {
        post(&api, ELSEWHERE, &config_map(name, "1")).expect(201);
    }
    let first = get(&api, &format!("{ELSEWHERE}?limit=1")).expect(200);
    let token = first["metadata"]["continue"].as_str().unwrap();
    for namespace in [CONFIGMAPS, ELSEWHERE] {
        assert_eq!(names(&get(&api, &format!("{namespace}?continue={token}")).expect(200)), ["b", "c"]);
    }
    let mut seen = Vec::new();
    let mut next = String::new();
    loop {
        let page = get(&api, &format!("/api/v1/configmaps?limit=2{next}")).expect(200);
        seen.extend(names(&page).into_iter().map(str::to_owned));
        let Some(token) = page["metadata"]["continue"].as_str() else { break };
        next = format!("&continue={token}");
    }
    assert_eq!(seen, ["a", "b", "c", "a", "b", "c", "extension-apiserver-authentication"]);
    let page = get(&api, "/api/v1/namespaces?limit=1").expect(200);
    let token = page["metadata"]["continue"].as_str().unwrap();
    let rest = get(&api, &format!("/api/v1/namespaces?continue={token}")).expect(200);
    assert_eq!(names(&rest), ["kube-node-lease", "kube-public", "kube-system"]);
}
