//! Values of custom resources that are refused or read in a way of their own, and the words and places of the answer.

use serde_json::{Value, json};

use crate::{
    answer::{fields, message},
    case::Case,
    fixtures::widgets,
    test::tests,
};

tests![
    a_number_has_the_range_of_its_format,
    an_error_of_the_status_names_its_fields_from_there,
    an_error_of_a_default_names_its_fields_from_there,
    a_rule_on_an_entry_of_a_map_names_its_key,
    what_an_object_type_does_not_declare_is_applied_and_removed,
    a_value_of_another_type_cannot_be_applied,
    yaml_has_octal_numbers,
    an_access_review_without_attributes_is_invalid,
    service_accounts_have_their_columns,
];

/// Defines widgets whose spec has these properties. Returns the path of its objects.
async fn served(case: &Case, properties: &Value) -> String {
    let group = format!("{}.example.com", case.unique());
    let mut definition = widgets(&group);
    let version = &mut definition["spec"]["versions"][0];
    version["selectableFields"] = json!([]);
    version["additionalPrinterColumns"] = json!([]);
    version["schema"]["openAPIV3Schema"] = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": properties},
        "status": {"type": "object", "properties": {"n": {"type": "integer", "maximum": 5}}},
    }});
    case.define(&definition).await.expect("it is accepted");
    format!("/apis/{group}/v1/namespaces/{}/widgets", case.namespace())
}

fn object(case: &Case, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("{}.example.com/v1", case.unique()), "kind": "Widget", "metadata": {"name": "w"}, "spec": spec,
    })
}

async fn a_number_has_the_range_of_its_format(case: Case) {
    let path = served(
        &case,
        &json!({
            "plain": {"type": "integer"}, "long": {"type": "integer", "format": "int64"},
            "short": {"type": "integer", "format": "int32"}, "float": {"type": "number", "format": "float"},
            "text": {"type": "string", "format": "date"},
        }),
    )
    .await;
    let path = format!("{path}?dryRun=All");
    for (spec, said) in [
        (
            json!({"long": 9_223_372_036_854_775_808_u64}),
            "spec.long: Invalid value: \"float64\": spec.long in body must be of type int64: \"float64\"",
        ),
        (json!({"long": 1e20}), "Checked value must be of type integer with format int64 in spec.long"),
        (
            json!({"plain": 1e20}),
            "spec.plain: Invalid value: \"number\": spec.plain in body must be of type integer: \"number\"",
        ),
        (json!({"short": true}), "spec.short: Invalid value: \"\": spec.short in body must be of type int32: \"\""),
        (json!({"text": 5}), "spec.text: Invalid value: \"int64\": spec.text in body must be of type date: \"int64\""),
        (
            json!({"plain": 1.5}),
            "spec.plain: Invalid value: \"number\": spec.plain in body must be of type integer: \"number\"",
        ),
        (json!({"short": 2_147_483_648_u64}), "Checked value must be of type integer with format int32 in spec.short"),
        (json!({"float": 1e300}), "Checked value must be of type number with format float in spec.float"),
    ] {
        let refused = case.post(&path, &object(&case, &spec)).await.refused(422, "Invalid");
        assert!(message(&refused).contains(said), "{spec}: {refused}");
    }
    for spec in [json!({"long": i64::MAX}), json!({"plain": 1000.0}), json!({"short": 1.0}), json!({"float": 1.5})] {
        case.post(&path, &object(&case, &spec)).await.expect(201);
    }
}

async fn an_error_of_the_status_names_its_fields_from_there(case: Case) {
    let path = served(&case, &json!({})).await;
    case.post(&path, &object(&case, &json!({}))).await.expect(201);
    let status = format!("{path}/w/status");
    for (wrong, field, said) in [
        (json!({"n": 9}), "status.n", "status.n: Invalid value: 9: n in body should be less than or equal to 5"),
        (json!("x"), "status", "status: Invalid value: \"string\":  in body must be of type object: \"string\""),
    ] {
        let refused = case.patch(&status, "merge", &json!({"status": wrong})).await.refused(422, "Invalid");
        assert_eq!(fields(&refused), [field]);
        assert!(message(&refused).ends_with(said), "{refused}");
    }
}

async fn an_error_of_a_default_names_its_fields_from_there(case: Case) {
    let mut definition = widgets(&format!("{}.example.com", case.unique()));
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["size"]["default"] =
        "x".into();
    let refused = case
        .post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions?dryRun=All", &definition)
        .await
        .refused(422, "Invalid");
    let said = "properties[size].default: Invalid value: \"string\":  in body must be of type integer: \"string\"";
    assert!(message(&refused).ends_with(said), "{refused}");
}

async fn a_rule_on_an_entry_of_a_map_names_its_key(case: Case) {
    let entry = json!({"type": "integer", "x-kubernetes-validations": [{"rule": "self < 5"}]});
    let ports = json!({"type": "object", "maxProperties": 5, "additionalProperties": entry});
    let path = served(&case, &json!({"ports": ports})).await;
    let refused = case.post(&path, &object(&case, &json!({"ports": {"a.b": 9}}))).await.refused(422, "Invalid");
    assert_eq!(fields(&refused), ["spec.ports[a.b]"]);
}

async fn what_an_object_type_does_not_declare_is_applied_and_removed(case: Case) {
    let path = served(&case, &json!({"open": {"type": "object"}})).await;
    let wanted = object(&case, &json!({"open": {"x": 1}}));
    let made = case.apply(&format!("{path}/w"), "m", "", &wanted).await.expect(201);
    assert_eq!(made["spec"], json!({"open": {}}));
}

async fn a_value_of_another_type_cannot_be_applied(case: Case) {
    let path = served(
        &case,
        &json!({
            "text": {"type": "string"}, "list": {"type": "array", "items": {"type": "string"}},
            "map": {"type": "object", "properties": {"a": {"type": "string"}}}, "flag": {"type": "boolean"},
        }),
    )
    .await;
    for (spec, said) in [
        (json!({"map": [1, "a"]}), ".spec.map: expected map, got &{[1 a]}"),
        (json!({"list": {"a": "b"}}), ".spec.list: expected list, got &{map[a:b]}"),
        (json!({"flag": 1}), ".spec.flag: expected boolean, got &{1}"),
        (json!({"text": 1}), ".spec.text: expected string, got &value.valueUnstructured{Value:1}"),
    ] {
        let answer = case.apply(&format!("{path}/w"), "m", "", &object(&case, &spec)).await;
        assert!(answer.code == 500 && message(&answer.body).contains(said), "{spec}: {}", answer.text);
    }
}

async fn yaml_has_octal_numbers(case: Case) {
    let path = served(&case, &json!({"mode": {"type": "integer"}})).await;
    let text = format!(
        "apiVersion: {}.example.com/v1\nkind: Widget\nmetadata:\n  name: w\nspec:\n  mode: 0644\n",
        case.unique()
    );
    let made = case.send("POST", &path, &[("content-type", "application/yaml")], &text).await.expect(201);
    assert_eq!(made["spec"], json!({"mode": 0o644}));
}

async fn an_access_review_without_attributes_is_invalid(case: Case) {
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let refused = case.post(path, &json!({"spec": {}})).await.refused(422, "Invalid");
    assert_eq!(fields(&refused), ["spec.resourceAttributes"]);
    let both = json!({"spec": {"resourceAttributes": {"verb": "get"}, "nonResourceAttributes": {"verb": "get"}}});
    let refused = case.post(path, &both).await.refused(422, "Invalid");
    assert_eq!(fields(&refused), ["spec.nonResourceAttributes"]);
}

async fn service_accounts_have_their_columns(case: Case) {
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let list = case.get_as(&case.core("serviceaccounts"), table).await.expect(200);
    let columns = list["columnDefinitions"].as_array().into_iter().flatten();
    let names: Vec<&str> = columns.filter_map(|column| column["name"].as_str()).collect();
    let expected: &[&str] =
        if case.minor_version().await < 36 { &["Name", "Secrets", "Age"] } else { &["Name", "Age"] };
    assert_eq!(names, expected);
}
