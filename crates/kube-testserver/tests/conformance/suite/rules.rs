//! Custom resources: rules that compare, embedded objects, formats, and who owns what through which version.

use serde_json::{Value, json};

use crate::{
    answer::{fields, message},
    case::Case,
    fixtures::{managers, widgets},
    test::tests,
};

tests![
    a_rule_that_compares_holds_for_an_unchanged_value_too,
    a_rule_may_have_no_old_value,
    an_embedded_object_has_a_type_and_valid_metadata,
    strings_have_their_formats,
    null_is_no_value_of_an_enumeration,
    an_applied_null_is_refused_where_none_is_allowed,
    a_value_without_a_type_is_a_floating_point_number_beyond_64_bits,
    a_set_of_objects_has_no_owners,
    what_is_below_kept_fields_may_be_applied,
    one_manager_applies_through_two_versions,
    what_only_another_version_declares_is_not_stored,
    an_object_of_another_kind_is_invalid,
    a_scale_that_is_no_number_is_refused_by_its_path,
    a_default_of_null_is_no_default,
    the_definition_is_the_answer_to_its_delete,
    a_rule_on_an_integer_does_not_read_a_floating_point_number,
    an_object_of_another_kind_is_checked_by_the_rules_too,
];

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn group(case: &Case) -> String {
    format!("{}.example.com", case.unique())
}

/// Defines widgets whose spec has these properties, in versions `v1` and `v2`. Returns the path of its objects in `v1`.
async fn served(case: &Case, properties: &Value) -> String {
    let group = group(case);
    let mut definition = widgets(&group);
    let version = &mut definition["spec"]["versions"][0];
    version["selectableFields"] = json!([]);
    version["additionalPrinterColumns"] = json!([]);
    version["schema"]["openAPIV3Schema"] = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": properties},
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
    }});
    let mut other = version.clone();
    other["name"] = "v2".into();
    other["storage"] = false.into();
    definition["spec"]["versions"].as_array_mut().expect("a list").push(other);
    case.define(&definition).await.expect("it is accepted");
    format!("/apis/{group}/v1/namespaces/{}/widgets", case.namespace())
}

fn object(case: &Case, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("{}/v1", group(case)), "kind": "Widget", "metadata": {"name": "w"}, "spec": spec,
    })
}

async fn a_rule_that_compares_holds_for_an_unchanged_value_too(case: Case) {
    let epoch = json!({"type": "integer", "x-kubernetes-validations": [{"rule": "self > oldSelf"}]});
    let path = served(&case, &json!({"epoch": epoch})).await;
    case.post(&path, &object(&case, &json!({"epoch": 1}))).await.expect(201);
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    let status = case.patch(&format!("{path}/w"), "merge", &labels).await.refused(422, "Invalid");
    assert_eq!(fields(&status), ["spec.epoch"]);
    case.patch(&format!("{path}/w"), "merge", &json!({"spec": {"epoch": 2}})).await.expect(200);
}

async fn a_rule_may_have_no_old_value(case: Case) {
    let rule = "oldSelf.hasValue() ? self >= oldSelf.value() : self < 4";
    let count = json!({"type": "integer", "x-kubernetes-validations": [{"rule": rule, "optionalOldSelf": true}]});
    let path = served(&case, &json!({"count": count})).await;
    case.post(&path, &object(&case, &json!({"count": 4}))).await.refused(422, "Invalid");
    case.post(&path, &object(&case, &json!({"count": 3}))).await.expect(201);
    let set = async |count: i64| case.patch(&format!("{path}/w"), "merge", &json!({"spec": {"count": count}})).await;
    set(4).await.expect(200);
    set(3).await.refused(422, "Invalid");
}

async fn an_embedded_object_has_a_type_and_valid_metadata(case: Case) {
    let inner = json!({
        "type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true,
    });
    let path = served(&case, &json!({"inner": inner})).await;
    for (inner, expected) in [
        (json!({"kind": "Pod"}), "spec.inner.apiVersion"),
        (json!({"apiVersion": "", "kind": "Pod"}), "spec.inner.apiVersion"),
        (json!({"apiVersion": "a/b/c", "kind": "Pod"}), "spec.inner.apiVersion"),
        (json!({"apiVersion": "v1", "kind": "bad kind"}), "spec.inner.kind"),
        (json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"-": "x"}}}), "spec.inner.metadata.labels"),
    ] {
        let status = case.post(&path, &object(&case, &json!({"inner": inner}))).await.refused(422, "Invalid");
        assert_eq!(fields(&status), [expected], "{inner}");
    }
    for inner in [
        json!({"apiVersion": 1, "kind": "Pod"}),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": "x"}),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": 1}}}),
    ] {
        case.post(&path, &object(&case, &json!({"inner": inner}))).await.refused(400, "BadRequest");
    }
}

async fn strings_have_their_formats(case: Case) {
    let formats = [
        ("ipv4", "01.2.3.4", "1.2.3"),
        ("hostname", "a.example", "a_b"),
        ("uri", "urn:a:b", "x y"),
        ("email", "a@b", "nope"),
        ("isbn", "0321751043", "x"),
        ("creditcard", "4012888888881881", "1"),
        ("ssn", "111-22-3333", "x"),
        ("hexcolor", "fff", "red"),
        ("rgbcolor", "rgb(1,2,3)", "rgb(1,2)"),
        ("duration", "2 weeks", "soon"),
        ("byte", "aGk=", "aGk"),
        ("uuid", "123E4567E89B12D3A456426614174000", "x"),
    ];
    let properties: Value =
        formats.iter().map(|(format, ..)| (*format, json!({"type": "string", "format": format}))).collect();
    let path = format!("{}?dryRun=All", served(&case, &properties).await);
    for (format, right, wrong) in formats {
        case.post(&path, &object(&case, &json!({format: right}))).await.expect(201);
        let status = case.post(&path, &object(&case, &json!({format: wrong}))).await.refused(422, "Invalid");
        assert_eq!(fields(&status), [format!("spec.{format}")], "{wrong}");
    }
}

async fn null_is_no_value_of_an_enumeration(case: Case) {
    let any = json!({"x-kubernetes-preserve-unknown-fields": true, "enum": [1, null]});
    let path = format!("{}?dryRun=All", served(&case, &json!({"any": any})).await);
    case.post(&path, &object(&case, &json!({"any": 1.0}))).await.expect(201);
    case.post(&path, &object(&case, &json!({"any": 2}))).await.refused(422, "Invalid");
}

async fn an_applied_null_is_refused_where_none_is_allowed(case: Case) {
    let path = served(&case, &json!({"a": {"type": "string"}, "b": {"type": "string", "default": "x"}})).await;
    let status =
        case.apply(&format!("{path}/w"), "m", "", &object(&case, &json!({"a": null}))).await.refused(422, "Invalid");
    assert_eq!(fields(&status), ["spec.a"]);
    let made = case.post(&path, &object(&case, &json!({"a": null, "b": null}))).await.expect(201);
    assert_eq!(made["spec"], json!({"b": "x"}), "a create drops it");
}

async fn a_value_without_a_type_is_a_floating_point_number_beyond_64_bits(case: Case) {
    let free = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let path = served(&case, &json!({"free": free})).await;
    let spec = json!({"free": {"big": 12_345_678_901_234_567_890_u64, "exact": 9_007_199_254_740_993_u64}});
    let made = case.post(&path, &object(&case, &spec)).await.expect(201);
    let expected = json!({"big": 12_345_678_901_234_567_000_u64, "exact": 9_007_199_254_740_993_u64});
    assert_eq!(made["spec"]["free"], expected);
}

async fn a_set_of_objects_has_no_owners(case: Case) {
    let item = json!({"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"x": {"type": "string"}}});
    let set = json!({"type": "array", "x-kubernetes-list-type": "set", "items": item});
    let path = served(&case, &json!({"set": set})).await;
    let wanted = object(&case, &json!({"set": [{"x": "a"}]}));
    let made = case.post(&path, &wanted).await.expect(201);
    assert!(made["metadata"].get("managedFields").is_none(), "{made}");
    let mut other = wanted;
    other["metadata"]["name"] = "other".into();
    let answer = case.apply(&format!("{path}/other"), "m", "", &other).await;
    assert_eq!(answer.code, 500, "{}", answer.text);
    assert!(message(&answer.body).ends_with("associative list without keys has an element that's a map type"));
}

async fn what_is_below_kept_fields_may_be_applied(case: Case) {
    let known = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let free = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"known": known}});
    let path = served(&case, &json!({"free": free})).await;
    let wanted = object(&case, &json!({"free": {"known": {"other": 1}}}));
    case.apply(&format!("{path}/w"), "m", "", &wanted).await.expect(201);
}

async fn one_manager_applies_through_two_versions(case: Case) {
    let path = served(&case, &json!({"a": {"type": "integer"}, "b": {"type": "integer"}})).await;
    let first = case.apply(&format!("{path}/w"), "m", "", &object(&case, &json!({"a": 1, "b": 1}))).await.expect(201);
    assert_eq!(managers(&first), ["m Apply -"]);
    let mut wanted = object(&case, &json!({"a": 2}));
    wanted["apiVersion"] = format!("{}/v2", group(&case)).into();
    let other = path.replace("/v1/", "/v2/");
    let after = case.apply(&format!("{other}/w"), "m", "", &wanted).await.expect(200);
    assert_eq!(after["spec"], json!({"a": 2}));
    assert_eq!(managers(&after), ["m Apply -"]);
    assert_eq!(after["metadata"]["managedFields"][0]["apiVersion"], wanted["apiVersion"]);
}

async fn what_only_another_version_declares_is_not_stored(case: Case) {
    let group = group(&case);
    let mut definition = widgets(&group);
    let mut versions = Vec::new();
    for (name, own) in [("v1", "a"), ("v2", "b")] {
        let mut version = definition["spec"]["versions"][0].clone();
        version["name"] = name.into();
        version["storage"] = (name == "v1").into();
        version["selectableFields"] = json!([]);
        version["additionalPrinterColumns"] = json!([]);
        version["schema"]["openAPIV3Schema"] = json!({"type": "object", "properties": {"spec": {
            "type": "object",
            "properties": {own: {"type": "string"}, "both": {"type": "string", "default": format!("of {name}")}},
        }}});
        versions.push(version);
    }
    definition["spec"]["versions"] = versions.into();
    case.define(&definition).await.expect("it is accepted");
    let path = |version: &str| format!("/apis/{group}/{version}/namespaces/{}/widgets", case.namespace());
    let of = |version: &str, name: &str| {
        json!({
            "apiVersion": format!("{group}/{version}"), "kind": "Widget", "metadata": {"name": name},
            "spec": {"a": "1", "b": "2"},
        })
    };
    let made = case.post(&path("v2"), &of("v2", "two")).await.expect(201);
    assert_eq!(made["spec"], json!({"both": "of v2"}));
    assert_eq!(case.get(&format!("{}/two", path("v2"))).await.expect(200)["spec"], made["spec"]);
    let made = case.post(&path("v1"), &of("v1", "one")).await.expect(201);
    assert_eq!(made["spec"], json!({"a": "1", "both": "of v1"}));
    assert_eq!(case.get(&format!("{}/one", path("v2"))).await.expect(200)["spec"], json!({"both": "of v1"}));
}

async fn an_object_of_another_kind_is_invalid(case: Case) {
    let path = served(&case, &json!({})).await;
    let mut wanted = object(&case, &json!({}));
    wanted["kind"] = "Other".into();
    let status = case.post(&path, &wanted).await.refused(422, "Invalid");
    assert_eq!((fields(&status), &status["details"]["kind"]), (vec!["kind"], &json!("Other")));
    case.put(&format!("{path}/w"), &wanted).await.refused(404, "NotFound");
}

async fn a_scale_that_is_no_number_is_refused_by_its_path(case: Case) {
    let group = group(&case);
    let mut definition = widgets(&group);
    let version = &mut definition["spec"]["versions"][0];
    version["subresources"]["scale"] =
        json!({"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.replicas"});
    version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["replicas"] = json!({"type": "integer"});
    case.define(&definition).await.expect("it is accepted");
    let path = format!("/apis/{group}/v1/namespaces/{}/widgets", case.namespace());
    case.post(&path, &object(&case, &json!({"size": 1}))).await.expect(201);
    let scale = |replicas: Value| json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "w"}, "spec": {"replicas": replicas}});
    let target = format!("{path}/w/scale");
    case.put(&target, &scale(json!("x"))).await.refused(400, "BadRequest");
    let patch = json!({"spec": {"replicas": "x"}});
    assert_eq!(fields(&case.patch(&target, "merge", &patch).await.refused(422, "Invalid")), ["patch"]);
    assert_eq!(fields(&case.put(&target, &scale(json!(-1))).await.refused(422, "Invalid")), [".spec.size"]);
}

async fn a_default_of_null_is_no_default(case: Case) {
    let path = served(&case, &json!({"a": {"type": "string", "nullable": true, "default": null}})).await;
    let made = case.post(&path, &object(&case, &json!({}))).await.expect(201);
    assert_eq!(made["spec"], json!({}));
}

async fn the_definition_is_the_answer_to_its_delete(case: Case) {
    let group = group(&case);
    case.define(&widgets(&group)).await.expect("it is accepted");
    let name = format!("widgets.{group}");
    let left = case.delete(&format!("{DEFINITIONS}/{name}")).await.expect(200);
    assert_eq!((&left["kind"], &left["metadata"]["name"]), (&json!("CustomResourceDefinition"), &json!(name)));
    assert!(left["metadata"]["deletionTimestamp"].is_string(), "{left}");
    let terminating = left["status"]["conditions"].as_array().into_iter().flatten();
    assert!(terminating.into_iter().any(|one| one["type"] == "Terminating"), "{left}");
    case.eventually(&format!("{DEFINITIONS}/{name}"), |answer| answer.code == 404).await;
}

async fn a_rule_on_an_integer_does_not_read_a_floating_point_number(case: Case) {
    let count = json!({"type": "integer", "x-kubernetes-validations": [{"rule": "self < 4", "message": "too many"}]});
    let path = served(&case, &json!({"count": count, "free": {"type": "integer"}})).await;
    let refused = case.post(&path, &object(&case, &json!({"count": 1.0}))).await.refused(422, "Invalid");
    assert!(
        message(&refused).contains("invalid data, expected int, got float64 evaluating rule: too many"),
        "{refused}"
    );
    case.post(&path, &object(&case, &json!({"count": 1, "free": 1.0}))).await.expect(201);
}

async fn an_object_of_another_kind_is_checked_by_the_rules_too(case: Case) {
    let count = json!({"type": "integer", "x-kubernetes-validations": [{"rule": "self < 4"}]});
    let path = served(&case, &json!({"count": count})).await;
    case.post(&path, &object(&case, &json!({"count": 1}))).await.expect(201);
    let patch = json!({"kind": "Other", "spec": {"count": 5}});
    let refused = case.patch(&format!("{path}/w"), "merge", &patch).await.refused(422, "Invalid");
    let mut named = fields(&refused);
    named.sort_unstable();
    assert_eq!(named, ["kind", "spec.count"]);
}
