//! Custom resources as their schema says: on every way to write them.

use serde_json::{Value, json};

use crate::{
    answer::{fields, message, reasons},
    case::Case,
    fixtures::widgets,
    test::tests,
};

tests![
    a_write_prunes_and_fills_in_defaults,
    a_value_that_the_schema_does_not_allow_is_refused,
    every_way_to_write_is_validated,
    an_apply_refuses_what_the_schema_does_not_declare,
    a_status_is_validated_and_pruned_too,
    a_transition_rule_compares_with_the_old_value,
    a_rule_makes_its_own_message,
    the_scale_is_the_number_of_replicas,
];

fn group(case: &Case) -> String {
    format!("{}.example.com", case.unique())
}

fn schema() -> Value {
    let named = json!({"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string"}, "port": {"type": "integer", "default": 80},
    }});
    json!({"type": "object", "properties": {
        "spec": {
            "type": "object", "required": ["size"],
            "x-kubernetes-validations": [
                {"rule": "self.size >= oldSelf.size", "message": "size may not shrink"},
                {"rule": "!has(self.name) || self.name != 'bad'", "messageExpression": "'the name is ' + self.name"},
            ],
            "properties": {
                "size": {"type": "integer", "minimum": 0, "maximum": 5},
                "mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
                "name": {"type": "string", "minLength": 2, "maxLength": 5, "pattern": "^[a-z]+$"},
                "when": {"type": "string", "format": "date-time"},
                "ratio": {"type": "number", "multipleOf": 0.5},
                "maybe": {"type": "string", "nullable": true},
                "any": {"x-kubernetes-int-or-string": true},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                "texts": {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 2},
                "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "ports": {
                    "type": "array", "maxItems": 3, "items": named,
                    "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                },
                "inner": {
                    "type": "object", "x-kubernetes-embedded-resource": true,
                    "x-kubernetes-preserve-unknown-fields": true,
                },
            },
        },
        "status": {"type": "object", "properties": {
            "phase": {"type": "string", "enum": ["Ready", "Failed"]}, "replicas": {"type": "integer"},
        }},
    }})
}

/// Serves the resource; returns the path of its objects.
async fn served(case: &Case) -> String {
    let group = group(case);
    let mut definition = widgets(&group);
    let version = &mut definition["spec"]["versions"][0];
    version["selectableFields"] = json!([]);
    version["schema"]["openAPIV3Schema"] = schema();
    version["subresources"]["scale"] =
        json!({"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.replicas"});
    case.define(&definition).await.expect("it is accepted");
    format!("/apis/{group}/v1/namespaces/{}/widgets", case.namespace())
}

fn object(case: &Case, spec: &Value) -> Value {
    let version = format!("{}/v1", group(case));
    json!({"apiVersion": version, "kind": "Widget", "metadata": {"name": "w"}, "spec": spec})
}

async fn a_write_prunes_and_fills_in_defaults(case: Case) {
    let path = served(&case).await;
    let wanted = json!({
        "size": 1, "other": 1, "maybe": null, "any": "x", "free": {"a": {"b": 1}}, "texts": {"a": "b"},
        "ports": [{"name": "http", "more": 1}],
        "inner": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "more": 1}, "spec": {"a": 1}},
    });
    let expected = json!({
        "size": 1, "mode": "a", "maybe": null, "any": "x", "free": {"a": {"b": 1}}, "texts": {"a": "b"},
        "ports": [{"name": "http", "port": 80}],
        "inner": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"a": 1}},
    });
    let mut made = case.post(&path, &object(&case, &wanted)).await.expect(201);
    assert_eq!(made["spec"], expected);
    made["spec"] = wanted.clone();
    let one = format!("{path}/w");
    assert_eq!(case.put(&one, &made).await.expect(200)["spec"], expected);
    assert_eq!(case.patch(&one, "merge", &json!({"spec": {"other": 2}})).await.expect(200)["spec"], expected);
    let add = json!([{"op": "add", "path": "/spec/other", "value": 3}]);
    assert_eq!(case.patch(&one, "json", &add).await.expect(200)["spec"], expected);
}

async fn a_value_that_the_schema_does_not_allow_is_refused(case: Case) {
    let path = served(&case).await;
    for (spec, field, reason, words) in [
        (json!({}), "spec.size", "FieldValueRequired", "Required value"),
        (json!({"size": 9}), "spec.size", "FieldValueInvalid", "should be less than or equal to 5"),
        (json!({"size": -1}), "spec.size", "FieldValueInvalid", "should be greater than or equal to 0"),
        (json!({"size": "x"}), "spec.size", "FieldValueTypeInvalid", "must be of type integer: \"string\""),
        (json!({"size": 1, "mode": "z"}), "spec.mode", "FieldValueNotSupported", "supported values: \"a\", \"b\""),
        (json!({"size": 1, "name": "x"}), "spec.name", "FieldValueInvalid", "should be at least 2 chars long"),
        (json!({"size": 1, "name": "toolong"}), "spec.name", "FieldValueTooLong", "may not be more than 5 bytes"),
        (json!({"size": 1, "name": "UP"}), "spec.name", "FieldValueInvalid", "should match '^[a-z]+$'"),
        (json!({"size": 1, "when": "soon"}), "spec.when", "FieldValueTypeInvalid", "must be of type date-time"),
        (json!({"size": 1, "ratio": 0.3}), "spec.ratio", "FieldValueInvalid", "should be a multiple of 0.5"),
        (json!({"size": 1, "any": true}), "spec.any", "FieldValueTypeInvalid", "must be of type integer,string"),
        (json!({"size": 1, "texts": {"a": 1}}), "spec.texts.a", "FieldValueTypeInvalid", "must be of type string"),
        (
            json!({"size": 1, "texts": {"a": "1", "b": "2", "c": "3"}}),
            "spec.texts",
            "FieldValueTooMany",
            "must have at most 2 items",
        ),
        (json!({"size": 1, "tags": ["a", "a"]}), "spec.tags[1]", "FieldValueDuplicate", "Duplicate value: \"a\""),
        (
            json!({"size": 1, "ports": [{"name": "a"}, {"name": "a"}]}),
            "spec.ports[1]",
            "FieldValueDuplicate",
            "Duplicate value",
        ),
        (json!({"size": 1, "ports": [{"port": 1}]}), "spec.ports[0].name", "FieldValueRequired", "Required value"),
        (
            json!({"size": 1, "inner": {"kind": "Pod"}}),
            "spec.inner.apiVersion",
            "FieldValueRequired",
            "spec.inner.apiVersion: Required value",
        ),
    ] {
        let status = case.post(&path, &object(&case, &spec)).await.refused(422, "Invalid");
        let at = fields(&status).iter().position(|found| *found == field);
        let at = at.unwrap_or_else(|| panic!("{spec}: {status}"));
        assert_eq!(reasons(&status)[at], reason, "{spec}: {status}");
        assert!(message(&status).contains(words), "{spec}: {status}");
    }
}

async fn every_way_to_write_is_validated(case: Case) {
    let path = served(&case).await;
    let one = format!("{path}/w");
    let mut made = case.post(&path, &object(&case, &json!({"size": 1}))).await.expect(201);
    let big = json!({"spec": {"size": 9}});
    let replace = json!([{"op": "replace", "path": "/spec/size", "value": 9}]);
    made["spec"]["size"] = 9.into();
    for answer in [
        case.put(&one, &made).await,
        case.patch(&one, "merge", &big).await,
        case.patch(&one, "json", &replace).await,
        case.apply(&one, "one", "&force=true", &object(&case, &json!({"size": 9}))).await,
    ] {
        let status = answer.refused(422, "Invalid");
        assert!(fields(&status).contains(&"spec.size"), "{status}");
    }
    assert_eq!(case.get(&one).await.expect(200)["spec"]["size"], 1);
}

async fn an_apply_refuses_what_the_schema_does_not_declare(case: Case) {
    let one = format!("{}/w", served(&case).await);
    let wanted = object(&case, &json!({"size": 1, "other": 1}));
    for more in ["", "&fieldValidation=Ignore"] {
        let answer = case.apply(&one, "one", more, &wanted).await;
        assert_eq!(answer.code, 500, "{}", answer.text);
        assert!(message(&answer.body).contains(".spec.other: field not declared in schema"), "{}", answer.text);
    }
}

async fn a_status_is_validated_and_pruned_too(case: Case) {
    let path = served(&case).await;
    case.post(&path, &object(&case, &json!({"size": 1}))).await.expect(201);
    let status = format!("{path}/w/status");
    let answer = case.patch(&status, "merge", &json!({"status": {"phase": "Lost"}})).await;
    assert!(fields(&answer.refused(422, "Invalid")).contains(&"status.phase"));
    let after = case.patch(&status, "merge", &json!({"status": {"phase": "Ready", "other": 1}})).await.expect(200);
    assert_eq!(after["status"], json!({"phase": "Ready"}));
}

async fn a_transition_rule_compares_with_the_old_value(case: Case) {
    let path = served(&case).await;
    case.post(&path, &object(&case, &json!({"size": 2}))).await.expect(201);
    let one = format!("{path}/w");
    let status = case.patch(&one, "merge", &json!({"spec": {"size": 1}})).await.refused(422, "Invalid");
    assert!(message(&status).contains("size may not shrink"), "{status}");
    case.patch(&one, "merge", &json!({"spec": {"size": 3}})).await.expect(200);
}

async fn a_rule_makes_its_own_message(case: Case) {
    let path = served(&case).await;
    let status = case.post(&path, &object(&case, &json!({"size": 1, "name": "bad"}))).await.refused(422, "Invalid");
    assert!(message(&status).contains("the name is bad"), "{status}");
}

async fn the_scale_is_the_number_of_replicas(case: Case) {
    let path = served(&case).await;
    case.post(&path, &object(&case, &json!({"size": 1}))).await.expect(201);
    let scale = format!("{path}/w/scale");
    let read = case.get(&scale).await.expect(200);
    assert_eq!((&read["kind"], &read["apiVersion"]), (&json!("Scale"), &json!("autoscaling/v1")));
    assert_eq!((&read["spec"]["replicas"], &read["status"]["replicas"]), (&json!(1), &json!(0)));
    let after = case.patch(&scale, "merge", &json!({"spec": {"replicas": 4}})).await.expect(200);
    assert_eq!(after["spec"]["replicas"], 4);
    assert_eq!(case.get(&format!("{path}/w")).await.expect(200)["spec"]["size"], 4);
}
