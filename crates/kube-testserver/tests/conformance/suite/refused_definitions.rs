//! Definitions that are refused: what a schema, its rules and the fields that name parts of it may not say.

use serde_json::{Value, json};

use crate::{
    answer::{fields, message, reasons},
    case::Case,
    fixtures::widgets,
    test::tests,
};

tests![
    a_schema_that_the_merge_cannot_use_is_refused,
    keywords_that_are_not_supported_are_refused,
    a_rule_with_malformed_fields_is_refused,
    a_rule_that_compares_what_cannot_be_told_apart_is_refused,
    a_selectable_field_must_be_a_declared_scalar,
    the_selectable_fields_of_a_version_are_few_and_different,
    only_a_deprecated_version_has_a_warning,
];

const PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?dryRun=All";
const SCHEMA: &str = "spec.validation.openAPIV3Schema.properties[spec]";

/// A definition of widgets whose spec has this schema.
fn definition(case: &Case, spec: &Value) -> Value {
    let mut definition = widgets(&format!("{}.example.com", case.unique()));
    let version = &mut definition["spec"]["versions"][0];
    version["selectableFields"] = json!([]);
    version["additionalPrinterColumns"] = json!([]);
    version["schema"]["openAPIV3Schema"] = json!({"type": "object", "properties": {"spec": spec}});
    definition
}

/// Asserts that a definition with each spec is refused for the field below the spec's schema, in these words.
async fn refused(case: &Case, specs: &[(Value, &str, &str)]) {
    for (spec, field, why) in specs {
        let status = case.post(PATH, &definition(case, spec)).await.refused(422, "Invalid");
        assert!(message(&status).contains(&format!("{SCHEMA}{field}: {why}")), "{spec}: {status}");
        assert!(fields(&status).contains(&format!("{SCHEMA}{field}").as_str()), "{status}");
    }
}

async fn a_schema_that_the_merge_cannot_use_is_refused(case: Case) {
    let keyed = |item: Value| json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": item});
    let not_atomic = "must be atomic as item of a list with x-kubernetes-list-type=set";
    refused(
        &case,
        &[
            (
                json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object", "properties": {"k": {"type": "string"}}}}),
                ".items.x-kubernetes-map-type",
                &format!("Invalid value: null: {not_atomic}"),
            ),
            (
                json!({"type": "object", "x-kubernetes-map-type": "foo"}),
                ".x-kubernetes-map-type",
                "Unsupported value: \"foo\": supported values: \"atomic\", \"granular\"",
            ),
            (
                json!({"type": "array", "x-kubernetes-list-type": "foo", "items": {"type": "string"}}),
                ".x-kubernetes-list-type",
                "Unsupported value: \"foo\": supported values: \"atomic\", \"set\", \"map\"",
            ),
            (
                keyed(json!({"type": "object", "required": ["k"], "properties": {"k": {"type": "object"}}})),
                ".items.properties[k].type",
                "Invalid value: \"object\": must be a scalar type if parent array's x-kubernetes-list-type is map",
            ),
            (
                keyed(json!({"type": "string"})),
                ".items.type",
                "Invalid value: \"string\": must be object if parent array's x-kubernetes-list-type is map",
            ),
            (
                keyed(json!({"type": "object", "properties": {"z": {"type": "string"}}})),
                ".x-kubernetes-list-map-keys",
                "Invalid value: [\"k\"]: entries must all be names of item properties",
            ),
        ],
    )
    .await;
}

async fn keywords_that_are_not_supported_are_refused(case: Case) {
    refused(
        &case,
        &[
            (
                json!({"type": "object", "x-kubernetes-preserve-unknown-fields": false}),
                ".x-kubernetes-preserve-unknown-fields",
                "Invalid value: false: must be true or undefined",
            ),
            (json!({"type": "string", "id": "x"}), ".id", "Forbidden: id is not supported"),
            (
                json!({"type": "array", "items": {"type": "string"}, "additionalItems": true}),
                ".additionalItems",
                "Forbidden: additionalItems is not supported",
            ),
            (
                json!({"type": "array", "items": [{"type": "string"}]}),
                ".items",
                "Forbidden: items must be a schema object and not an array",
            ),
        ],
    )
    .await;
    let without_entries = json!({"type": "object", "additionalProperties": false});
    case.post(PATH, &definition(&case, &without_entries)).await.expect(201);
}

async fn a_rule_with_malformed_fields_is_refused(case: Case) {
    let with = |rule: Value| json!({"type": "object", "properties": {"a": {"type": "string"}}, "x-kubernetes-validations": [rule]});
    refused(
        &case,
        &[
            (with(json!({"rule": " "})), ".x-kubernetes-validations[0].rule", "Required value: rule is not specified"),
            (
                with(json!({"rule": "true", "message": "a\nb"})),
                ".x-kubernetes-validations[0].message",
                "Invalid value: \"a\\nb\": must not contain line breaks",
            ),
            (
                with(json!({"rule": "true\n|| false"})),
                ".x-kubernetes-validations[0].message",
                "Required value: message must be specified if rule contains line breaks",
            ),
            (
                with(json!({"rule": "true", "reason": "Foo"})),
                ".x-kubernetes-validations[0].reason",
                "Unsupported value: \"Foo\"",
            ),
            (
                with(json!({"rule": "true", "fieldPath": ".b"})),
                ".x-kubernetes-validations[0].fieldPath",
                "Invalid value: \".b\": must be a valid path",
            ),
        ],
    )
    .await;
    let fine = with(json!({"rule": "true", "fieldPath": ".a", "reason": "FieldValueForbidden"}));
    case.post(PATH, &definition(&case, &fine)).await.expect(201);
}

async fn a_rule_that_compares_what_cannot_be_told_apart_is_refused(case: Case) {
    let item = json!({"type": "string", "maxLength": 5, "x-kubernetes-validations": [{"rule": "self == oldSelf"}]});
    let list = json!({"type": "array", "maxItems": 5, "items": item});
    let why = format!(
        "Invalid value: \"self == oldSelf\": oldSelf cannot be used on the uncorrelatable portion of the schema within \
         {SCHEMA}"
    );
    refused(
        &case,
        &[
            (list, ".items.x-kubernetes-validations[0].rule", &why),
            (
                json!({"type": "object", "properties": {"a": {"type": "string"}}, "x-kubernetes-validations": [{"rule": "has(self.a)", "optionalOldSelf": true}]}),
                ".x-kubernetes-validations[0].optionalOldSelf",
                "Invalid value: true: may not be set if oldSelf is not used in rule",
            ),
        ],
    )
    .await;
}

async fn a_selectable_field_must_be_a_declared_scalar(case: Case) {
    let spec = json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "object"}}});
    for (path, why) in [
        (".spec.c", "is an invalid path: does not refer to a valid field"),
        (".spec.b", "must point to a field of type string, boolean or integer"),
        (".spec['a']", "is an invalid path: array notation is not allowed"),
    ] {
        let mut definition = definition(&case, &spec);
        definition["spec"]["versions"][0]["selectableFields"] = json!([{"jsonPath": path}]);
        let status = case.post(PATH, &definition).await.refused(422, "Invalid");
        assert!(
            message(&status).contains(&format!("spec.selectableFields[0].jsonPath: Invalid value: {path:?}: {why}")),
            "{status}"
        );
    }
}

async fn the_selectable_fields_of_a_version_are_few_and_different(case: Case) {
    let names: Vec<String> = (0..9).map(|at| format!("f{at}")).collect();
    let properties: Value = names.iter().map(|name| (name.clone(), json!({"type": "string"}))).collect();
    let mut definition = definition(&case, &json!({"type": "object", "properties": properties}));
    let selectable = &mut definition["spec"]["versions"][0]["selectableFields"];
    *selectable = names.iter().map(|name| json!({"jsonPath": format!(".spec.{name}")})).collect();
    let status = case.post(PATH, &definition).await.refused(422, "Invalid");
    assert_eq!((fields(&status), reasons(&status)), (vec!["spec.selectableFields"], vec!["FieldValueTooMany"]));
    definition["spec"]["versions"][0]["selectableFields"] = json!([{"jsonPath": ".spec.f1"}, {"jsonPath": ".spec.f1"}]);
    let status = case.post(PATH, &definition).await.refused(422, "Invalid");
    assert_eq!(fields(&status), ["spec.selectableFields[1].jsonPath"]);
    assert_eq!(reasons(&status), ["FieldValueDuplicate"]);
}

async fn only_a_deprecated_version_has_a_warning(case: Case) {
    let mut definition = definition(&case, &json!({"type": "object"}));
    definition["spec"]["versions"][0]["deprecationWarning"] = "old".into();
    let status = case.post(PATH, &definition).await.refused(422, "Invalid");
    assert_eq!(fields(&status), ["spec.versions[0].deprecationWarning"]);
    definition["spec"]["versions"][0]["deprecated"] = true.into();
    case.post(PATH, &definition).await.expect(201);
}
