//! Whatever is asked, there is an answer, and the store stays whole.

use proptest::prelude::*;

use super::*;

fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec![
            "api", "apis", "v1", "v2", "namespaces", "default", "kube-system", "n1", "configmaps", "secrets", "pods",
            "widgets", "example.com", "apiextensions.k8s.io", "customresourcedefinitions", "widgets.example.com",
            "events", "events.k8s.io", "a", "b", "status", "finalize", "scale", "watch", "version", "openapi", "v3",
            "apps", "deployments", "coordination.k8s.io", "leases", "",
        ])
        .prop_map(str::to_owned),
        1 => "[ -~]{0,6}",
        1 => "(%[0-9a-f]{2}|%|é){0,3}",
    ]
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(vec![
            CONFIGMAPS, WIDGETS, DEFINITIONS, "/api/v1/namespaces", "/api/v1/namespaces/default/pods",
            "/api/v1/namespaces/n1/configmaps", "/apis/apps/v1/namespaces/default/deployments",
        ])
        .prop_flat_map(|base| {
            let suffix = prop::sample::select(vec!["", "/a", "/b", "/a/status", "/n1", "/n1/finalize", "/widgets.example.com"]);
            suffix.prop_map(move |suffix| format!("{base}{suffix}"))
        }),
        1 => prop::collection::vec(segment(), 0..8).prop_map(|parts| format!("/{}", parts.join("/"))),
    ]
}

fn query() -> impl Strategy<Value = String> {
    let pair = prop_oneof![
        prop::sample::select(vec![
            "dryRun=All",
            "fieldManager=me",
            "fieldManager=you",
            "force=true",
            "limit=1",
            "limit=-1",
            "resourceVersion=0",
            "resourceVersion=3",
            "resourceVersionMatch=Exact",
            "labelSelector=a=b",
            "labelSelector=((",
            "fieldSelector=metadata.name=a",
            "fieldSelector=x",
            "watch=1",
            "timeoutSeconds=1",
            "sendInitialEvents=true",
            "resourceVersionMatch=NotOlderThan",
            "allowWatchBookmarks=1",
            "propagationPolicy=Foreground",
            "gracePeriodSeconds=0",
            "gracePeriodSeconds=9223372036854775807",
            "continue=e30",
            "includeObject=Object",
            "timeoutSeconds=18446744073709551615",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,12}",
    ];
    prop::collection::vec(pair, 0..4).prop_map(|pairs| pairs.join("&"))
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec!["a", "b", "default", "n1", "replace", "2020-01-01T00:00:00Z", "3", "é", ""])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop::sample::select(vec![
            "metadata",
            "name",
            "namespace",
            "labels",
            "annotations",
            "finalizers",
            "ownerReferences",
            "managedFields",
            "resourceVersion",
            "uid",
            "spec",
            "status",
            "data",
            "apiVersion",
            "kind",
            "conditions",
            "type",
            "versions",
            "names",
            "$patch",
            "$retainKeys",
            "containers",
            "preconditions",
            "generateName",
            "deletionTimestamp",
            "template",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.prop_map(str::to_owned), inner, 0..5)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

fn body() -> impl Strategy<Value = String> {
    let plausible = (json_value(), json_value(), prop::sample::select(vec!["a", "b", "n1"]), 0..5).prop_map(
        |(spec, other, name, which)| {
            let mut object = match which {
                0 => config_map(name, "1"),
                1 => widget(name, &json!({})),
                2 => json!({"metadata": {"name": name, "finalizers": ["a/b"]}}),
                3 => widgets(),
                _ => json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name, "labels": {"a": "b"}}}),
            };
            object["spec"] = if which == 3 { object["spec"].clone() } else { spec };
            object["status"] = other;
            object.to_string()
        },
    );
    let operations = prop::collection::vec(
        (
            prop::sample::select(vec!["add", "remove", "replace", "copy", "move", "test"]),
            json_value(),
            prop::sample::select(vec![
                "",
                "/metadata",
                "/metadata/name",
                "/spec",
                "/spec/x",
                "/data/-",
                "/metadata/finalizers/0",
                "/status",
            ]),
        ),
        0..4,
    )
    .prop_map(|operations| {
        let listed: Vec<Value> = operations
            .into_iter()
            .map(|(op, value, path)| json!({"op": op, "path": path, "from": "/metadata", "value": value}))
            .collect();
        Value::from(listed).to_string()
    });
    prop_oneof![
        3 => plausible,
        1 => json_value().prop_map(|value| value.to_string()),
        1 => operations,
        1 => "[ -~\n]{0,40}",
    ]
}

fn a_call() -> impl Strategy<Value = Call> {
    let method = prop::sample::select(vec![
        "GET", "POST", "PUT", "PATCH", "PATCH", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW",
    ]);
    let content_type = prop::sample::select(vec![
        "application/json",
        "application/yaml",
        "application/merge-patch+json",
        "application/json-patch+json",
        "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
        "text/plain",
    ]);
    let accept = prop::sample::select(vec![
        "*/*",
        "application/json",
        "application/json;as=Table;v=v1;g=meta.k8s.io",
        "application/vnd.kubernetes.protobuf",
        "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
        ";;=,",
    ]);
    (method, path(), query(), content_type, accept, body()).prop_map(
        |(method, path, query, content_type, accept, body)| {
            let mut call = call(method, "/", &[("content-type", content_type), ("accept", accept)], &body);
            call.path = path;
            call.query = Some(query);
            call
        },
    )
}

/// What holds of a store after any request.
fn check_store(api: &Api, before: u64) {
    let store = api.shared.read();
    assert!(store.rv() >= before, "resource versions never go back");
    for kind in store.kinds() {
        let collection = store.collection(&kind.collection).expect("what is served has a collection");
        for stored in collection.walk(None, None, u64::MAX).expect("the present is never too old") {
            let object = stored.value();
            let metadata = &object["metadata"];
            assert_eq!(metadata["name"], *stored.key.name);
            assert_eq!(metadata["namespace"].as_str().unwrap_or_default(), &*stored.key.namespace);
            assert_eq!(metadata["resourceVersion"], stored.rv.to_string());
            assert_eq!(metadata["uid"], *stored.uid);
            assert!(!stored.uid.is_empty() && stored.rv <= store.rv());
            assert!(object["kind"].is_string() && object["apiVersion"].is_string());
            if !metadata["deletionTimestamp"].is_null() {
                assert!(!crate::api::change::delete::may_go(&object), "what may go is gone: {object}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_request_has_an_answer_and_leaves_the_store_whole(calls in prop::collection::vec(a_call(), 1..25)) {
        let api = with_widgets();
        post(&api, "/api/v1/namespaces", &json!({"metadata": {"name": "n1"}})).expect(201);
        for call in calls {
            let before = api.resource_version();
            match api.answer(call.clone()) {
                Reply::Whole(response) => {
                    let code = response.status().as_u16();
                    prop_assert!((200..=599).contains(&code), "{code}");
                    if code >= 400 && response.headers()[header::CONTENT_TYPE] == "application/json" {
                        let status: Value = serde_json::from_slice(response.body()).unwrap();
                        prop_assert_eq!(&status["kind"], "Status");
                        prop_assert_eq!(&status["code"], code);
                    }
                    prop_assert!(code < 500 || matches!(code, 500 | 501 | 504), "{:?}", call);
                    // A collection is deleted before its answer turns out not to be in the form that was asked for.
                    let is_effective = call.method == "DELETE" && code == 406;
                    if matches!(call.method.as_str(), "GET" | "HEAD" | "OPTIONS") || (code >= 400 && !is_effective) {
                        prop_assert_eq!(api.resource_version(), before, "{:?} changed something", call);
                    }
                }
                Reply::Watch(watch) => drop(watch),
            }
            check_store(&api, before);
        }
    }
}
