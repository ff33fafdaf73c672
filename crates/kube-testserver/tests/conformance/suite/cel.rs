//! CEL rules: what they see of a value, which functions they know, and what is said of one that cannot be evaluated.

use serde_json::{Value, json};

use crate::{answer::message, case::Case, fixtures::widgets, test::tests};

tests![
    rules_see_values_as_their_schema_types_them,
    rules_know_types_and_optional_values,
    sets_and_maps_are_compared_whatever_their_order,
    a_map_that_is_reordered_is_equal_to_what_it_was,
    rules_name_fields_by_their_escaped_names,
    a_rule_that_cannot_be_evaluated_refuses_its_value,
    a_rule_that_names_what_is_unknown_is_refused_with_its_definition,
    of_metadata_a_rule_sees_the_names,
    a_rule_may_be_deep,
];

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn group(case: &Case) -> String {
    format!("{}.example.com", case.unique())
}

/// What each rule is on.
fn properties() -> Value {
    let text = json!({"type": "string", "maxLength": 50});
    let item = json!({"type": "object", "required": ["name"], "properties": {"name": text, "v": {"type": "integer"}}});
    json!({
        "text": text, "other": text, "my_field": text, "a-b": text, "namespace": text,
        "int": {"type": "integer"}, "number": {"type": "number"}, "port": {"x-kubernetes-int-or-string": true},
        "nothing": {"type": "string", "nullable": true, "maxLength": 5},
        "list": {"type": "array", "maxItems": 5, "items": {"type": "integer"}},
        "set": {"type": "array", "maxItems": 5, "x-kubernetes-list-type": "set", "items": text},
        "map": {
            "type": "array", "maxItems": 5, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": item,
        },
        "labels": {"type": "object", "maxProperties": 5, "additionalProperties": text},
        "time": {"type": "string", "format": "date-time"}, "day": {"type": "string", "format": "date"},
        "wait": {"type": "string", "format": "duration"}, "bytes": {"type": "string", "format": "byte", "maxLength": 20},
    })
}

/// A definition of widgets with each rule on a field of its own: `r0`, `r1`, ….
fn definition<'r>(group: &str, rules: impl Iterator<Item = &'r str>) -> Value {
    let with_rule = |rule: &str| json!({"type": "object", "properties": properties(), "x-kubernetes-validations": [{"rule": rule}]});
    let fields: Value = rules.enumerate().map(|(at, rule)| (format!("r{at}"), with_rule(rule))).collect();
    let mut definition = widgets(group);
    let version = &mut definition["spec"]["versions"][0];
    version["selectableFields"] = json!([]);
    version["additionalPrinterColumns"] = json!([]);
    version["schema"]["openAPIV3Schema"] =
        json!({"type": "object", "properties": {"spec": {"type": "object", "properties": fields}}});
    definition
}

/// Asserts that values that keep the rules are accepted, and that values that break them are refused with `failed rule`.
async fn judge(case: &Case, rules: &[(&str, Value, Value)]) {
    let group = group(case);
    case.define(&definition(&group, rules.iter().map(|(rule, ..)| *rule))).await.expect("it is accepted");
    let path = format!("/apis/{group}/v1/namespaces/{}/widgets?dryRun=All", case.namespace());
    let object = |at: usize, value: &Value| {
        json!({
            "apiVersion": format!("{group}/v1"), "kind": "Widget", "metadata": {"name": "w"},
            "spec": {format!("r{at}"): value},
        })
    };
    for (at, (rule, good, bad)) in rules.iter().enumerate() {
        let answer = case.post(&path, &object(at, good)).await;
        assert_eq!(answer.code, 201, "{rule} on {good}: {}", answer.text);
        if !bad.is_null() {
            let answer = case.post(&path, &object(at, bad)).await;
            let expected = format!("spec.r{at}: Invalid value: failed rule: {rule}");
            assert!(
                answer.code == 422 && message(&answer.body).ends_with(&expected),
                "{rule} on {bad}: {}",
                answer.text
            );
        }
    }
}

async fn rules_see_values_as_their_schema_types_them(case: Case) {
    judge(
        &case,
        &[
            ("self.number == 1.0", json!({"number": 1}), json!({"number": 2})),
            ("string(self.number) == \"1.5\"", json!({"number": 1.5}), json!({"number": 1})),
            ("self.text.size() == 2", json!({"text": "äö"}), json!({"text": "ä"})),
            ("size(self.text) == 2", json!({"text": "äö"}), json!({"text": "abc"})),
            (
                "self.time > timestamp(\"2026-01-01T00:00:00Z\")",
                json!({"time": "2026-02-01T00:00:00Z"}),
                json!({"time": "2025-02-01T00:00:00Z"}),
            ),
            ("string(self.time) == \"2026-01-01T00:00:00Z\"", json!({"time": "2026-01-01T00:00:00Z"}), Value::Null),
            (
                "self.day == timestamp(\"2026-01-01T00:00:00Z\")",
                json!({"day": "2026-01-01"}),
                json!({"day": "2026-01-02"}),
            ),
            ("self.wait.getHours() == 1", json!({"wait": "1h"}), json!({"wait": "2h"})),
            ("string(self.wait) == \"5400s\"", json!({"wait": "1h30m"}), Value::Null),
            ("self.bytes == b\"hi\"", json!({"bytes": "aGk="}), json!({"bytes": "aG8="})),
            ("self.port == 5 || self.port == \"5%\"", json!({"port": "5%"}), json!({"port": 6})),
            ("has(self.nothing)", json!({"nothing": "x"}), json!({"nothing": null})),
        ],
    )
    .await;
}

async fn rules_know_types_and_optional_values(case: Case) {
    judge(
        &case,
        &[
            ("type(self.port) == int", json!({"port": 1}), json!({"port": "x"})),
            (
                "type(self.port) == string ? self.port.matches(\"^[0-9]+%$\") : self.port > 0",
                json!({"port": "5%"}),
                json!({"port": "x"}),
            ),
            ("type(self.time) == google.protobuf.Timestamp", json!({"time": "2026-01-01T00:00:00Z"}), Value::Null),
            ("dyn(self.port) == 5", json!({"port": 5}), json!({"port": 6})),
            ("self.?text.orValue(\"q\") == \"x\"", json!({"text": "x"}), json!({"text": "z"})),
            ("self.?text.orValue(\"q\") == \"q\"", json!({}), json!({"text": "z"})),
            ("!self.?other.hasValue()", json!({"text": "x"}), json!({"other": "x"})),
            ("self.?labels.app.orValue(\"x\") == \"x\"", json!({}), json!({"labels": {"app": "y"}})),
            ("self.labels[?\"app\"].orValue(\"x\") == \"x\"", json!({"labels": {}}), json!({"labels": {"app": "y"}})),
            ("self.list[?0].orValue(1) == 1", json!({"list": []}), json!({"list": [2]})),
            ("optional.of(self.text).hasValue()", json!({"text": "x"}), Value::Null),
            (
                "!format.named(\"dns1123Label\").value().validate(self.text).hasValue()",
                json!({"text": "ab"}),
                json!({"text": "A_"}),
            ),
        ],
    )
    .await;
}

async fn sets_and_maps_are_compared_whatever_their_order(case: Case) {
    judge(
        &case,
        &[
            ("self.set == [\"b\", \"a\"]", json!({"set": ["a", "b"]}), json!({"set": ["a", "c"]})),
            ("self.set != [\"b\", \"a\"]", json!({"set": ["a", "c"]}), json!({"set": ["a", "b"]})),
            ("size(self.set + [\"a\"]) == 2", json!({"set": ["a", "b"]}), json!({"set": ["b", "c"]})),
            (
                "self.set + [\"a\", \"c\"] == [\"a\", \"b\", \"c\"]",
                json!({"set": ["a", "b"]}),
                json!({"set": ["b", "d"]}),
            ),
            ("self.list == [2, 1]", json!({"list": [2, 1]}), json!({"list": [1, 2]})),
            (
                "self.map.all(item, item.v == 1)",
                json!({"map": [{"name": "a", "v": 1}]}),
                json!({"map": [{"name": "a", "v": 2}]}),
            ),
        ],
    )
    .await;
}

async fn a_map_that_is_reordered_is_equal_to_what_it_was(case: Case) {
    let group = group(&case);
    let rule = "self.map == oldSelf.map && self.set == oldSelf.set";
    case.define(&definition(&group, [rule].into_iter())).await.expect("it is accepted");
    let path = format!("/apis/{group}/v1/namespaces/{}/widgets", case.namespace());
    let spec = |map: Value, set: Value| json!({"spec": {"r0": {"map": map, "set": set}}});
    let mut object = spec(json!([{"name": "a", "v": 1}, {"name": "b", "v": 2}]), json!(["x", "y"]));
    object["apiVersion"] = format!("{group}/v1").into();
    object["kind"] = "Widget".into();
    object["metadata"] = json!({"name": "w"});
    case.post(&path, &object).await.expect(201);
    let path = format!("{path}/w");
    let reordered = spec(json!([{"name": "b", "v": 2}, {"name": "a", "v": 1}]), json!(["y", "x"]));
    case.patch(&path, "merge", &reordered).await.expect(200);
    let changed = spec(json!([{"name": "b", "v": 3}, {"name": "a", "v": 1}]), json!(["y", "x"]));
    case.patch(&path, "merge", &changed).await.refused(422, "Invalid");
}

async fn rules_name_fields_by_their_escaped_names(case: Case) {
    judge(
        &case,
        &[
            ("self.my_field == \"x\"", json!({"my_field": "x"}), json!({"my_field": "y"})),
            ("self.a__dash__b == \"x\"", json!({"a-b": "x"}), json!({"a-b": "y"})),
            ("self.__namespace__ == \"x\"", json!({"namespace": "x"}), json!({"namespace": "y"})),
            ("self.labels[\"a-b_c\"] == \"x\"", json!({"labels": {"a-b_c": "x"}}), json!({"labels": {"a-b_c": "y"}})),
        ],
    )
    .await;
}

async fn a_rule_that_cannot_be_evaluated_refuses_its_value(case: Case) {
    let rules = [
        ("self.labels[\"a\"] == \"b\"", json!({"labels": {"c": "b"}}), "no such key: a"),
        ("self.list[0] == 1", json!({"list": []}), "index out of bounds: 0"),
        ("self.int / 0 == 1", json!({"int": 1}), "division by zero"),
        ("self.int + 9223372036854775807 > 0", json!({"int": 1}), "integer overflow"),
        ("-self.int > 0", json!({"int": i64::MIN}), "integer overflow"),
        ("int(self.text) > 5", json!({"text": "x"}), "type conversion error from 'string' to 'int'"),
        ("self.int < 4", json!({"int": 1.0}), "invalid data, expected int, got float64"),
        ("self.text == \"x\"", json!({}), "no such key: text"),
    ];
    let group = group(&case);
    case.define(&definition(&group, rules.iter().map(|(rule, ..)| *rule))).await.expect("it is accepted");
    let path = format!("/apis/{group}/v1/namespaces/{}/widgets?dryRun=All", case.namespace());
    for (at, (rule, value, why)) in rules.into_iter().enumerate() {
        let spec = json!({format!("r{at}"): value});
        let object =
            json!({"apiVersion": format!("{group}/v1"), "kind": "Widget", "metadata": {"name": "w"}, "spec": spec});
        let refused = case.post(&path, &object).await.refused(422, "Invalid");
        let expected = format!("spec.r{at}: Invalid value: \"object\": {why} evaluating rule: {rule}");
        assert!(message(&refused).ends_with(&expected), "{refused}");
    }
}

async fn a_rule_that_names_what_is_unknown_is_refused_with_its_definition(case: Case) {
    let group = group(&case);
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?dryRun=All";
    for (rule, name) in [
        ("self.size == 1", "size"),
        ("self.map.all(item, item.w == 1)", "w"),
        ("variables.x == 1", "variables"),
        ("math.greatest(self.int, 3) == 3", "math"),
        ("cel.bind(q, self.int, q > 1)", "cel"),
        ("self.int > limit(3)", "limit"),
        ("self.list.all(x, y > 1)", "y"),
    ] {
        let refused = case.post(path, &definition(&group, [rule].into_iter())).await.refused(422, "Invalid");
        let cause = &refused["details"]["causes"][0];
        assert!(
            cause["field"].as_str().is_some_and(|field| field.ends_with(".x-kubernetes-validations[0].rule")),
            "{refused}"
        );
        let said = message(&refused);
        assert!(
            said.contains("compilation failed: ")
                && [format!("undeclared reference to '{name}'"), format!("undefined field '{name}'")]
                    .iter()
                    .any(|why| said.contains(why)),
            "{said}"
        );
    }
}

/// Defines widgets with rules on the whole object, and returns the answer.
async fn with_root_rules(case: &Case, rules: &[&str]) -> crate::answer::Answer {
    let mut definition = definition(&group(case), std::iter::empty());
    let rules: Vec<Value> = rules.iter().map(|rule| json!({"rule": rule})).collect();
    let schema = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    schema["x-kubernetes-validations"] = rules.into();
    schema["properties"]["spec"] = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    case.post(&format!("{DEFINITIONS}?dryRun=All"), &definition).await
}

async fn of_metadata_a_rule_sees_the_names(case: Case) {
    with_root_rules(&case, &["self.metadata.name != \"x\" && self.kind == \"Widget\""]).await.expect(201);
    for rule in ["has(self.metadata.labels)", "self.spec.x == 1", "self.spec.kind == \"x\""] {
        let status = with_root_rules(&case, &[rule]).await.refused(422, "Invalid");
        assert!(message(&status).contains("undefined field"), "{rule}: {status}");
    }
}

async fn a_rule_may_be_deep(case: Case) {
    let bracketed = format!("{}self.int == 1{}", "(".repeat(60), ")".repeat(60));
    let sum = format!("self.int{} == 201", " + 1".repeat(200));
    let chosen = format!("{}self.int == 1", "self.int == 2 ? false : ".repeat(30));
    judge(
        &case,
        &[
            (&bracketed, json!({"int": 1}), json!({"int": 2})),
            (&sum, json!({"int": 1}), json!({"int": 2})),
            (&chosen, json!({"int": 1}), json!({"int": 3})),
            ("-self.int == 1", json!({"int": -1}), json!({"int": 2})),
        ],
    )
    .await;
    let deeper = format!("self.int{} == 401", " + 1".repeat(400));
    let answer =
        case.post(DEFINITIONS, &definition(&format!("other.{}", group(&case)), [deeper.as_str()].into_iter())).await;
    assert!(message(&answer.refused(422, "Invalid")).contains("max recursion depth exceeded"));
}
