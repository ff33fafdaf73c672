//! Definitions of custom resources, from their creation to their end.

use serde_json::{Value, json};

use crate::{
    answer::{fields, message},
    case::{Case, is_condition_true},
    fixtures::{WIDGET_GROUP, names, rv, uid, widget, widgets},
    test::tests,
};

tests![
    a_definition_is_established_and_served,
    a_definition_is_named_after_what_it_defines,
    a_version_that_is_not_served_is_not_there,
    every_served_version_shows_the_same_object,
    without_a_status_subresource_the_status_is_a_field,
    a_cluster_scoped_resource_has_no_namespace,
    the_objects_of_a_deleted_definition_are_deleted,
    two_definitions_of_one_kind_in_two_groups_are_independent,
    an_undeclared_field_is_refused_under_strict_validation,
    an_undeclared_field_is_warned_of_otherwise,
    a_definition_that_waits_for_its_objects_takes_no_new_ones,
    a_schema_that_is_not_structural_is_refused,
    what_is_stored_is_shown_as_the_schema_of_now_has_it,
    explain_has_the_schema_of_a_custom_resource,
    what_is_wrong_with_a_definition_is_named,
    a_default_must_be_valid_itself,
    a_version_that_was_stored_may_not_go,
    nothing_is_applied_under_a_definition_that_is_being_deleted,
    a_definition_waits_for_names_that_another_one_has,
    a_definition_that_is_established_stays_so_though_it_asks_for_a_name_in_use,
];

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn group(case: &Case) -> String {
    format!("{}.example.com", case.unique())
}

fn object(group: &str, version: &str) -> Value {
    json!({
        "apiVersion": format!("{group}/{version}"), "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1},
    })
}

fn path(case: &Case, group: &str, version: &str) -> String {
    format!("/apis/{group}/{version}/namespaces/{}/widgets", case.namespace())
}

async fn a_definition_waits_for_names_that_another_one_has(case: Case) {
    let group = group(&case);
    case.define(&widgets(&group)).await.expect("it is accepted");
    let mut second = widgets(&group);
    second["metadata"]["name"] = format!("gadgets.{group}").into();
    second["spec"]["names"] =
        json!({"plural": "gadgets", "singular": "gadget", "kind": "Widget", "listKind": "WidgetList"});
    let path = format!("{DEFINITIONS}/gadgets.{group}");
    case.post(DEFINITIONS, &second).await.expect(201);
    let of = |object: &Value, kind: &str| {
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default()
    };
    let waiting = case.eventually(&path, |answer| of(&answer.body, "NamesAccepted")["status"] == "False").await.body;
    let condition = of(&waiting, "NamesAccepted");
    assert_eq!(condition["reason"], "ListKindConflict");
    assert_eq!(condition["message"], "\"WidgetList\" is already in use");
    assert_eq!(waiting["status"]["acceptedNames"], json!({"plural": "gadgets", "singular": "gadget", "kind": ""}));
    case.delete(&format!("{DEFINITIONS}/widgets.{group}")).await.expect(200);
    case.eventually(&path, |answer| is_condition_true(&answer.body, "Established")).await;
    case.eventually(&format!("/apis/{group}/v1/gadgets"), |answer| answer.code == 200).await;
}

async fn a_definition_that_is_established_stays_so_though_it_asks_for_a_name_in_use(case: Case) {
    let group = group(&case);
    case.define(&widgets(&group)).await.expect("it is accepted");
    let mut second = widgets(&group);
    second["metadata"]["name"] = format!("gadgets.{group}").into();
    second["spec"]["names"] = json!({"plural": "gadgets", "kind": "Gadget"});
    case.define(&second).await.expect("it is accepted");
    let path = format!("{DEFINITIONS}/gadgets.{group}");
    let patch = json!({"spec": {"names": {"shortNames": ["widget"]}}});
    case.patch(&path, "merge", &patch).await.expect(200);
    let refused = |object: &Value| {
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|condition| condition["reason"] == "ShortNamesConflict")
    };
    let after = case.eventually(&path, |answer| refused(&answer.body)).await.body;
    assert!(is_condition_true(&after, "Established"), "{after}");
    assert_eq!(after["status"]["acceptedNames"]["shortNames"], Value::Null);
    // A real server serves it anew, and says 429 meanwhile.
    case.eventually(&format!("/apis/{group}/v1/gadgets"), |answer| answer.code == 200).await;
}

async fn a_definition_is_established_and_served(case: Case) {
    let group = group(&case);
    case.define(&widgets(&group)).await.expect("it is accepted");
    let definition = case.get(&format!("{DEFINITIONS}/widgets.{group}")).await.expect(200);
    assert!(is_condition_true(&definition, "Established") && is_condition_true(&definition, "NamesAccepted"));
    assert_eq!(definition["status"]["acceptedNames"]["plural"], "widgets");
    assert_eq!(definition["status"]["storedVersions"], json!(["v1"]));
    let made = case.post(&path(&case, &group, "v1"), &object(&group, "v1")).await.expect(201);
    assert_eq!(made["spec"]["size"], 1);
    assert_eq!(names(&case.get(&path(&case, &group, "v1")).await.expect(200)), ["w"]);
}

async fn a_definition_is_named_after_what_it_defines(case: Case) {
    let mut definition = widgets(&group(&case));
    definition["metadata"]["name"] = "gadgets.example.com".into();
    let status = case.post(DEFINITIONS, &definition).await.refused(422, "Invalid");
    assert_eq!(fields(&status), ["metadata.name"]);
}

async fn a_version_that_is_not_served_is_not_there(case: Case) {
    let group = group(&case);
    let mut definition = widgets(&group);
    let mut old = definition["spec"]["versions"][0].clone();
    old["name"] = "v1alpha1".into();
    old["served"] = false.into();
    old["storage"] = false.into();
    definition["spec"]["versions"].as_array_mut().expect("versions").push(old);
    case.define(&definition).await.expect("it is accepted");
    assert_eq!(case.get(&path(&case, &group, "v1alpha1")).await.code, 404);
}

async fn every_served_version_shows_the_same_object(case: Case) {
    let group = group(&case);
    let mut definition = widgets(&group);
    let mut new = definition["spec"]["versions"][0].clone();
    new["name"] = "v2".into();
    new["storage"] = false.into();
    definition["spec"]["versions"].as_array_mut().expect("versions").push(new);
    case.define(&definition).await.expect("it is accepted");
    let made = case.post(&path(&case, &group, "v1"), &object(&group, "v1")).await.expect(201);
    let read = case.get(&format!("{}/w", path(&case, &group, "v2"))).await.expect(200);
    assert_eq!(read["apiVersion"], format!("{group}/v2"));
    assert_eq!((uid(&read), rv(&read), &read["spec"]), (uid(&made), rv(&made), &made["spec"]));
}

async fn without_a_status_subresource_the_status_is_a_field(case: Case) {
    let group = group(&case);
    let mut definition = widgets(&group);
    definition["spec"]["versions"][0].as_object_mut().expect("it is one").remove("subresources");
    case.define(&definition).await.expect("it is accepted");
    let mut wanted = object(&group, "v1");
    wanted["status"] = json!({"ready": true});
    let made = case.post(&path(&case, &group, "v1"), &wanted).await.expect(201);
    assert_eq!(made["status"]["ready"], true);
    assert_eq!(case.get(&format!("{}/w/status", path(&case, &group, "v1"))).await.code, 404);
}

async fn a_cluster_scoped_resource_has_no_namespace(case: Case) {
    let group = group(&case);
    let mut definition = widgets(&group);
    definition["spec"]["scope"] = "Cluster".into();
    case.define(&definition).await.expect("it is accepted");
    let made = case.post(&format!("/apis/{group}/v1/widgets"), &object(&group, "v1")).await.expect(201);
    assert!(made["metadata"]["namespace"].is_null());
    assert_eq!(case.get(&path(&case, &group, "v1")).await.code, 404);
}

async fn the_objects_of_a_deleted_definition_are_deleted(case: Case) {
    let group = group(&case);
    let definition = widgets(&group);
    let name = format!("{DEFINITIONS}/widgets.{group}");
    case.define(&definition).await.expect("it is accepted");
    let objects = path(&case, &group, "v1");
    case.post(&objects, &object(&group, "v1")).await.expect(201);
    case.delete(&name).await.expect(200);
    case.eventually(&name, |answer| answer.code == 404).await;
    case.eventually(&objects, |answer| answer.code == 404).await;
    case.define(&definition).await.expect("it is accepted again");
    assert!(names(&case.get(&objects).await.expect(200)).is_empty());
}

async fn two_definitions_of_one_kind_in_two_groups_are_independent(case: Case) {
    let groups = [format!("one.{}", group(&case)), format!("two.{}", group(&case))];
    for group in &groups {
        case.define(&widgets(group)).await.expect("it is accepted");
    }
    case.post(&path(&case, &groups[0], "v1"), &object(&groups[0], "v1")).await.expect(201);
    assert!(names(&case.get(&path(&case, &groups[1], "v1")).await.expect(200)).is_empty());
}

async fn an_undeclared_field_is_refused_under_strict_validation(case: Case) {
    let strict = format!("{}?fieldValidation=Strict", case.widgets().await);
    let status = case.post(&strict, &widget("w", &json!({"sizee": 1}))).await.refused(400, "BadRequest");
    let expected = "Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: unknown field \
                    \"spec.sizee\"";
    assert_eq!(message(&status), expected);
    case.post(&strict, &widget("w", &json!({"size": 1}))).await.expect(201);
    let one = format!("{}/w?fieldValidation=Strict", case.widgets().await);
    let status = case.patch(&one, "merge", &json!({"spec": {"sizee": 1}})).await.refused(422, "Invalid");
    assert!(message(&status).contains("strict decoding error: unknown field \"spec.sizee\""), "{status}");
}

async fn an_undeclared_field_is_warned_of_otherwise(case: Case) {
    let answer = case.post(&case.widgets().await, &widget("w", &json!({"sizee": 1}))).await;
    assert_eq!(answer.headers["warning"], r#"299 - "unknown field \"spec.sizee\"""#);
    answer.expect(201);
}

async fn a_definition_that_waits_for_its_objects_takes_no_new_ones(case: Case) {
    let group = group(&case);
    case.define(&widgets(&group)).await.expect("it is accepted");
    let objects = path(&case, &group, "v1");
    let mut held = object(&group, "v1");
    held["metadata"]["finalizers"] = json!(["example.com/f"]);
    let held = case.post(&objects, &held).await.expect(201);
    let name = format!("{DEFINITIONS}/widgets.{group}");
    case.delete(&name).await.expect(200);
    case.eventually(&name, |answer| is_condition_true(&answer.body, "Terminating")).await;
    let mut other = object(&group, "v1");
    other["metadata"]["name"] = "other".into();
    let mut rounds = tokio::time::interval(std::time::Duration::from_millis(50));
    loop {
        rounds.tick().await;
        // A real server hears of the condition a moment later.
        let answer = case.post(&objects, &other).await;
        if answer.code != 201 {
            let status = answer.refused(403, "Forbidden");
            assert!(message(&status).ends_with("create not allowed while custom resource definition is terminating"));
            break;
        }
        case.delete(&format!("{objects}/other")).await.expect(200);
    }
    let gone = json!({"metadata": {"finalizers": []}});
    let held = held["metadata"]["name"].as_str().expect("a name");
    case.patch(&format!("{objects}/{held}"), "merge", &gone).await.expect(200);
    case.eventually(&name, |answer| answer.code == 404).await;
}

async fn a_schema_that_is_not_structural_is_refused(case: Case) {
    let group = group(&case);
    for (spec, field) in [
        (json!({"type": "object", "properties": {"a": {}}}), "properties[spec].properties[a].type"),
        (json!({"type": "array"}), "properties[spec].items"),
        (json!({"type": "object", "anyOf": [{"type": "object"}]}), "properties[spec].anyOf[0].type"),
        (json!({"type": "string", "default": 1}), "properties[spec].default"),
    ] {
        let mut definition = widgets(&group);
        definition["spec"]["versions"][0]["selectableFields"] = json!([]);
        definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"] = json!({"spec": spec});
        let status = case.post(DEFINITIONS, &definition).await.refused(422, "Invalid");
        let found = fields(&status);
        assert!(found.iter().any(|found| found.ends_with(field)), "{spec}: {status}");
    }
}

/// Objects are pruned and get their defaults when they are read too, so a changed definition counts for stored ones.
async fn what_is_stored_is_shown_as_the_schema_of_now_has_it(case: Case) {
    let group = group(&case);
    let mut definition = widgets(&group);
    case.define(&definition).await.expect("it is accepted");
    let objects = path(&case, &group, "v1");
    let mut wanted = object(&group, "v1");
    wanted["spec"] = json!({"color": "red", "size": 1});
    let made = case.post(&objects, &wanted).await.expect(201);
    let one = format!("{objects}/{}", made["metadata"]["name"].as_str().expect("a name"));
    let mut watch = case.watch(&objects, "").await;
    assert_eq!(watch.next().await.expect("the object").1["spec"], json!({"color": "red", "size": 1}));

    let schema = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    schema["properties"]["spec"]["properties"] =
        json!({"color": {"type": "string"}, "shape": {"type": "string", "default": "round"}});
    let columns = json!([{"name": "Shape", "type": "string", "jsonPath": ".spec.shape"}]);
    definition["spec"]["versions"][0]["additionalPrinterColumns"] = columns;
    let name = format!("{DEFINITIONS}/widgets.{group}");
    let update = json!({"spec": {"versions": definition["spec"]["versions"]}});
    case.patch(&name, "merge", &update).await.expect(200);
    let now = json!({"color": "red", "shape": "round"});
    case.eventually(&one, |answer| answer.body["spec"] == now).await;
    // A real server fills the cache of a changed definition anew, and says 429 meanwhile.
    let list = case.eventually(&objects, |answer| answer.code == 200).await.body;
    assert_eq!((&list["items"][0]["spec"], rv(&list["items"][0])), (&now, rv(&made)));
    let (_, seen) = case.watch(&objects, "").await.next().await.expect("the object");
    assert_eq!(seen["spec"], now);
    // A patch begins with what is shown.
    let after = case.patch(&one, "merge", &json!({"metadata": {"labels": {"a": "1"}}})).await.expect(200);
    assert_eq!(after["spec"], now);
}

/// `kubectl explain` reads the `OpenAPI` document of the group.
async fn explain_has_the_schema_of_a_custom_resource(case: Case) {
    case.widgets().await;
    let target = format!("/openapi/v3/apis/{WIDGET_GROUP}/v1");
    let document = case.eventually(&target, |answer| answer.code == 200).await.body;
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let of_widgets = |schema: &&Value| {
        let kinds = schema["x-kubernetes-group-version-kind"].as_array();
        kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"] == "Widget"))
    };
    let schema = schemas.values().find(of_widgets).expect("the schema of widgets");
    let properties = &schema["properties"];
    assert_eq!(properties["spec"]["properties"]["size"]["type"], "integer");
    for field in ["apiVersion", "kind"] {
        assert_eq!(properties[field]["type"], "string", "{field}");
        assert!(properties[field]["description"].is_string(), "{field}");
    }
    assert!(properties["metadata"].is_object());
}

async fn what_is_wrong_with_a_definition_is_named(case: Case) {
    let group = group(&case);
    let path = format!("{DEFINITIONS}?dryRun=All");
    for (pointer, value, expected) in [
        ("/spec/names/singular", json!("Widget"), "spec.names.singular"),
        ("/spec/names/kind", json!("wid_get"), "spec.names.kind"),
        ("/spec/names/listKind", json!("Widget"), "spec.names.listKind"),
        ("/spec/names/shortNames", json!(["W"]), "spec.names.shortNames[0]"),
        ("/spec/preserveUnknownFields", json!(true), "spec.preserveUnknownFields"),
        ("/spec/versions/0/name", json!("v1.beta"), "spec.versions[0].name"),
        (
            "/spec/versions/0/additionalPrinterColumns",
            json!([{"name": "A", "type": "text", "jsonPath": ".spec.color"}]),
            "spec.additionalPrinterColumns[0].type",
        ),
        (
            "/spec/versions/0/subresources",
            json!({"scale": {"specReplicasPath": ".size", "statusReplicasPath": ".status.size"}}),
            "spec.subresources.scale.specReplicasPath",
        ),
    ] {
        let mut definition = widgets(&group);
        let (parent, last) = pointer.rsplit_once('/').expect("a path");
        definition.pointer_mut(parent).expect("it is there")[last] = value;
        let status = case.post(&path, &definition).await.refused(422, "Invalid");
        let mut found = fields(&status);
        // The name of the first version is kept in a deprecated field as well.
        found.retain(|field| *field != "spec.version");
        assert_eq!(found, [expected], "{pointer}");
    }
}

async fn a_default_must_be_valid_itself(case: Case) {
    let group = group(&case);
    for (schema, expected) in [
        (json!({"type": "integer", "default": "x"}), "default"),
        (json!({"type": "integer", "maximum": 5, "default": 9}), "default"),
        (json!({"type": "string", "enum": ["a"], "default": "b"}), "default"),
        (json!({"type": "object", "properties": {"a": {"type": "string"}}, "default": {"b": 1}}), "default"),
        (
            json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}, "default": {}}),
            "default.a",
        ),
    ] {
        let mut definition = widgets(&group);
        definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["color"] =
            schema.clone();
        definition["spec"]["versions"][0]["selectableFields"] = json!([]);
        let status = case.post(&format!("{DEFINITIONS}?dryRun=All"), &definition).await.refused(422, "Invalid");
        let path = "spec.validation.openAPIV3Schema.properties[spec].properties[color]";
        assert_eq!(fields(&status), [format!("{path}.{expected}")], "{schema}");
    }
}

async fn a_version_that_was_stored_may_not_go(case: Case) {
    let group = group(&case);
    case.define(&widgets(&group)).await.expect("it is accepted");
    let path = format!("{DEFINITIONS}/widgets.{group}");
    let patch = json!([{"op": "replace", "path": "/spec/versions/0/name", "value": "v2"}]);
    let status = case.patch(&path, "json", &patch).await.refused(422, "Invalid");
    assert!(fields(&status).contains(&"status.storedVersions[0]"), "{}", message(&status));
}

async fn nothing_is_applied_under_a_definition_that_is_being_deleted(case: Case) {
    let group = group(&case);
    case.define(&widgets(&group)).await.expect("it is accepted");
    let (objects, definition) = (path(&case, &group, "v1"), format!("{DEFINITIONS}/widgets.{group}"));
    let mut held = object(&group, "v1");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    case.post(&objects, &held).await.expect(201);
    case.delete(&definition).await.expect(200);
    case.eventually(&definition, |answer| is_condition_true(&answer.body, "Terminating")).await;
    let mut new = object(&group, "v1");
    new["metadata"]["name"] = "new".into();
    let refused = |answer: &crate::answer::Answer| answer.code == 403;
    let mut rounds = tokio::time::interval(std::time::Duration::from_millis(50));
    // A real server may need a moment until it has heard of the condition itself.
    while !refused(&case.apply(&format!("{objects}/new"), "m", "&dryRun=All", &new).await) {
        rounds.tick().await;
    }
    let patch = json!({"metadata": {"finalizers": null}});
    case.patch(&format!("{objects}/w"), "merge", &patch).await.expect(200);
}
