//! Definitions of custom resources.

use super::*;

#[test]
fn a_definition_is_established_and_served_at_once() {
    let api = Api::new();
    assert_eq!(get(&api, WIDGETS).code, 404);
    let made = post(&api, DEFINITIONS, &widgets()).expect(201);
    assert_eq!(made["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(made["status"]["acceptedNames"]["listKind"], "WidgetList");
    for condition in made["status"]["conditions"].as_array().unwrap() {
        assert_eq!(condition["status"], "True");
    }
    let list = get(&api, WIDGETS).expect(200);
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("WidgetList"), &json!("example.com/v1")));
    post(&api, DEFINITIONS, &widgets()).refused(409, "AlreadyExists");
}

#[test]
fn bad_definitions_are_refused() {
    let api = Api::new();
    let spoiled: [(&str, Value); 8] = [
        ("/metadata/name", json!("gadgets.example.com")),
        ("/spec/scope", json!("Everywhere")),
        ("/spec/versions", json!([])),
        ("/spec/versions/0/storage", json!(false)),
        ("/spec/versions/0/schema", json!({})),
        ("/spec/names/kind", json!("")),
        ("/spec/group", json!("x")),
        ("/spec/versions/0/additionalPrinterColumns/0/jsonPath", json!(".a[?(@.b>1)]")),
    ];
    for (path, value) in spoiled {
        let mut definition = widgets();
        *definition.pointer_mut(path).unwrap() = value;
        post(&api, DEFINITIONS, &definition).refused(422, "Invalid");
        assert!(api.install(&definition).is_err(), "{path}");
    }
    let nonsense = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "a.b.c"}, "spec": {"versions": {"a": 1}, "names": 3},
    });
    post(&api, DEFINITIONS, &nonsense).refused(422, "Invalid");
}

#[test]
fn two_versions_show_the_same_object() {
    let api = Api::new();
    let mut definition = widgets();
    let mut second = definition["spec"]["versions"][0].clone();
    second["name"] = "v2".into();
    second["storage"] = false.into();
    second["subresources"] = json!({});
    definition["spec"]["versions"].as_array_mut().unwrap().push(second);
    api.install(&definition).unwrap();
    post(&api, WIDGETS, &widget("w", &json!({"size": 1}))).expect(201);
    let other = WIDGETS.replace("/v1/", "/v2/");
    let object = get(&api, &format!("{other}/w")).expect(200);
    assert_eq!((&object["apiVersion"], &object["spec"]["size"]), (&json!("example.com/v2"), &json!(1)));
    get(&api, &format!("{other}/w/status")).refused(404, "NotFound");
    get(&api, &format!("{WIDGETS}/w/scale")).refused(404, "NotFound");
}

#[tokio::test(start_paused = true)]
async fn a_definition_takes_its_objects_and_watches_along() {
    let api = with_widgets();
    post(&api, WIDGETS, &widget("w", &json!({}))).expect(201);
    let mut open = watch(&api, &format!("{WIDGETS}?watch=1&resourceVersion=1"));
    assert_eq!(next_short(&mut open).await, "ADDED w");
    delete(&api, &format!("{DEFINITIONS}/widgets.example.com")).expect(200);
    assert_eq!(next_short(&mut open).await, "DELETED w");
    assert_eq!(open.next().await, None);
    assert_eq!(get(&api, WIDGETS).code, 404);
    get(&api, &format!("{DEFINITIONS}/widgets.example.com")).refused(404, "NotFound");
    api.install(&widgets()).unwrap();
    assert!(names(&get(&api, WIDGETS).expect(200)).is_empty());
}

#[test]
fn a_definition_waits_for_objects_that_are_held() {
    let api = with_widgets();
    let mut held = widget("w", &json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    post(&api, WIDGETS, &held).expect(201);
    let definition = format!("{DEFINITIONS}/widgets.example.com");
    delete(&api, &definition).expect(200);
    assert!(get(&api, &definition).expect(200)["metadata"]["deletionTimestamp"].is_string());
    patch(&api, &format!("{WIDGETS}/w"), "merge", &json!({"metadata": {"finalizers": []}})).expect(200);
    get(&api, &definition).refused(404, "NotFound");
    assert_eq!(get(&api, WIDGETS).code, 404);
}

#[test]
fn a_changed_definition_serves_the_change() {
    let api = with_widgets();
    let target = format!("{DEFINITIONS}/widgets.example.com");
    let body = json!([{"op": "remove", "path": "/spec/versions/0/subresources"}]);
    patch(&api, &target, "json", &body).expect(200);
    post(&api, WIDGETS, &widget("w", &json!({}))).expect(201);
    get(&api, &format!("{WIDGETS}/w/status")).refused(404, "NotFound");
    let body = json!({"spec": {"scope": "Cluster"}});
    patch(&api, &target, "merge", &body).refused(422, "Invalid");
}

#[test]
fn an_undeclared_field_is_refused_under_strict_validation_and_warned_of_otherwise() {
    let mut definition = widgets();
    let schema = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    schema.as_object_mut().unwrap().remove("x-kubernetes-preserve-unknown-fields");
    let api = Api::new();
    api.install(&definition).unwrap();
    let wrong = widget("w", &json!({"sizee": 1}));
    let strict = format!("{WIDGETS}?fieldValidation=Strict");

    let message = post(&api, &strict, &wrong).refused(400, "BadRequest");
    let complaint = r#"strict decoding error: unknown field "spec.sizee""#;
    assert_eq!(message, format!(r#"Widget in version "v1" cannot be handled as a Widget: {complaint}"#));
    let ignored = post(&api, &format!("{WIDGETS}?fieldValidation=Ignore&dryRun=All"), &wrong);
    assert!(!ignored.headers.contains_key("warning"));
    ignored.expect(201);
    let warned = post(&api, WIDGETS, &wrong);
    assert_eq!(warned.headers["warning"], r#"299 - "unknown field \"spec.sizee\"""#);
    warned.expect(201);

    let one = format!("{WIDGETS}/w");
    let mut kept = get(&api, &one).expect(200);
    kept["spec"] = json!({"size": 1, "colour": "red"});
    put(&api, &format!("{one}?fieldValidation=Strict"), &kept).refused(400, "BadRequest");
    let patched = patch(&api, &format!("{one}?fieldValidation=Strict"), "merge", &json!({"spec": {"colour": "red"}}));
    assert!(patched.refused(422, "Invalid").ends_with(r#"strict decoding error: unknown field "spec.colour""#));
    // What a real server would not have kept is not held against a patch.
    patch(&api, &format!("{one}?fieldValidation=Strict"), "merge", &json!({"spec": {"size": 2}})).expect(200);
    let target = format!("{one}?fieldValidation=Strict&fieldManager=m");
    let applied = patch(&api, &target, "apply", &wrong);
    let message = "failed to create typed patch object (/w; example.com/v1, Kind=Widget): .spec.sizee: field \
                   not declared in schema";
    assert_eq!((applied.code, &applied.body["message"]), (500, &json!(message)), "{}", applied.text);
    post(&api, &strict, &widget("x", &json!({"size": 1, "parts": ["a"]}))).expect(201);
}

#[test]
fn conversion_by_a_webhook_is_not_done_and_not_stored() {
    let api = Api::new();
    let mut definition = widgets();
    definition["spec"]["conversion"] = json!({
        "strategy": "Webhook",
        "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://localhost/convert"}},
    });
    let message = post(&api, DEFINITIONS, &definition).refused(501, "NotImplemented");
    assert!(message.contains("the conversion of custom resources by a webhook"), "{message}");
    get(&api, &format!("{DEFINITIONS}/widgets.example.com")).refused(404, "NotFound");
    api.install(&widgets()).unwrap();
    let patch_of = json!({"spec": {"conversion": definition["spec"]["conversion"]}});
    patch(&api, &format!("{DEFINITIONS}/widgets.example.com"), "merge", &patch_of).refused(501, "NotImplemented");
    let stored = get(&api, &format!("{DEFINITIONS}/widgets.example.com")).expect(200);
    assert_eq!(stored["spec"]["conversion"], json!({"strategy": "None"}));
}

#[test]
fn rules_are_enforced_or_their_definition_is_refused() {
    let api = Api::new();
    let mut definition = widgets();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] =
        json!([{"rule": "!has(self.size) || self.size < 3", "message": "too large"}]);
    let answer = post(&api, DEFINITIONS, &definition);
    if cfg!(feature = "cel") {
        answer.expect(201);
        post(&api, WIDGETS, &widget("small", &json!({"size": 2}))).expect(201);
        let message = post(&api, WIDGETS, &widget("large", &json!({"size": 3}))).refused(422, "Invalid");
        assert!(message.contains("too large"), "{message}");
    } else {
        let message = answer.refused(501, "NotImplemented");
        assert!(message.contains("its feature cel"), "{message}");
    }
}

#[cfg(feature = "cel")]
#[test]
fn a_definition_whose_rules_use_what_is_missing_here_is_refused_at_once() {
    let api = Api::new();
    for (rule, missing) in [
        ("self.parts.sortBy(x, x) == self.parts", "sortBy"),
        ("self.parts.all(i, x, i < 5)", "all"),
        ("self.?color.optMap(c, c == 'red').orValue(true)", "optMap"),
        ("google.protobuf.Int64Value{value: 1} == self.size", "google.protobuf.Int64Value{}"),
    ] {
        let mut definition = widgets();
        spec_rule(&mut definition, &json!([{"rule": rule}]));
        let refused = post(&api, DEFINITIONS, &definition).refused(501, "NotImplemented");
        assert!(refused.contains(&format!("{missing} in a CEL rule")), "{refused}");
        spec_rule(&mut definition, &json!([{"rule": "true", "messageExpression": rule}]));
        post(&api, DEFINITIONS, &definition).refused(501, "NotImplemented");
    }
}

#[cfg(feature = "cel")]
fn spec_rule(definition: &mut Value, rules: &Value) {
    let spec = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec["x-kubernetes-validations"] = rules.clone();
}
