//! Server-side apply, and the owners of fields.

use serde_json::{Value, json};

use crate::{
    answer::{fields, message, reasons},
    case::Case,
    fixtures::{config_map, deployment, managers, rv, widget, widget_status},
    test::tests,
};

tests![
    an_apply_makes_the_object,
    an_apply_meant_for_an_object_that_is_gone_is_a_conflict,
    the_same_apply_again_changes_nothing,
    a_manager_owns_the_fields_that_it_applies,
    fields_that_a_manager_no_longer_applies_are_removed,
    fields_that_another_manager_owns_too_are_kept,
    apply_of_a_field_of_another_manager_is_a_conflict,
    a_forced_apply_becomes_the_owner,
    apply_of_an_equal_value_is_no_conflict,
    an_update_becomes_the_owner_of_what_it_changes,
    a_status_is_applied_apart,
    conditions_of_several_managers_merge,
    finalizers_of_several_managers_merge,
    a_list_that_merges_takes_the_order_of_the_apply,
    an_apply_needs_a_manager,
    an_apply_with_managed_fields_is_refused,
    only_an_apply_can_force,
    an_apply_may_be_yaml,
    containers_of_several_managers_merge,
    containers_in_another_order_are_a_change,
    two_containers_with_one_name_cannot_be_applied,
    a_pull_secret_is_owned_as_a_whole,
    an_applier_of_data_owns_its_entries,
    data_is_removed_with_its_last_entry,
    an_applied_null_removes_nothing_that_others_own,
    a_map_in_a_spec_is_removed_with_its_last_entry,
    a_reference_is_owned_as_a_whole,
];

fn sized(size: i32) -> Value {
    widget("w", &json!({"size": size}))
}

async fn path(case: &Case) -> String {
    format!("{}/w", case.widgets().await)
}

async fn an_apply_makes_the_object(case: Case) {
    let path = path(&case).await;
    let made = case.apply(&path, "one", "", &sized(1)).await.expect(201);
    assert_eq!((&made["spec"], managers(&made)), (&json!({"size": 1}), vec!["one Apply -".to_owned()]));
    assert_eq!(case.get(&path).await.expect(200), made);
}

async fn an_apply_meant_for_an_object_that_is_gone_is_a_conflict(case: Case) {
    let path = path(&case).await;
    let mut wanted = sized(1);
    wanted["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000".into();
    case.apply(&path, "one", "", &wanted).await.refused(409, "Conflict");
    case.get(&path).await.refused(404, "NotFound");
}

async fn the_same_apply_again_changes_nothing(case: Case) {
    let path = path(&case).await;
    let made = case.apply(&path, "one", "", &sized(1)).await.expect(201);
    let again = case.apply(&path, "one", "", &sized(1)).await.expect(200);
    assert_eq!(rv(&again), rv(&made));
}

async fn a_manager_owns_the_fields_that_it_applies(case: Case) {
    let made = case.apply(&path(&case).await, "one", "", &sized(1)).await.expect(201);
    let entry = &made["metadata"]["managedFields"][0];
    assert_eq!((&entry["fieldsType"], &entry["operation"]), (&json!("FieldsV1"), &json!("Apply")));
    assert!(entry["time"].is_string());
    assert_eq!(entry["fieldsV1"], json!({"f:spec": {"f:size": {}}}));
}

async fn fields_that_a_manager_no_longer_applies_are_removed(case: Case) {
    let path = path(&case).await;
    case.apply(&path, "one", "", &widget("w", &json!({"size": 1, "color": "red"}))).await.expect(201);
    let after = case.apply(&path, "one", "", &sized(1)).await.expect(200);
    assert_eq!(after["spec"], json!({"size": 1}));
}

async fn fields_that_another_manager_owns_too_are_kept(case: Case) {
    let path = path(&case).await;
    case.apply(&path, "one", "", &widget("w", &json!({"size": 1, "color": "red"}))).await.expect(201);
    case.apply(&path, "two", "", &widget("w", &json!({"color": "red"}))).await.expect(200);
    let after = case.apply(&path, "one", "", &sized(1)).await.expect(200);
    assert_eq!(after["spec"], json!({"size": 1, "color": "red"}));
    assert_eq!(managers(&after), ["one Apply -", "two Apply -"]);
}

async fn apply_of_a_field_of_another_manager_is_a_conflict(case: Case) {
    let path = path(&case).await;
    case.apply(&path, "one", "", &sized(1)).await.expect(201);
    let status = case.apply(&path, "two", "", &sized(2)).await.refused(409, "Conflict");
    assert_eq!((fields(&status), reasons(&status)), (vec![".spec.size"], vec!["FieldManagerConflict"]));
    assert_eq!(message(&status), "Apply failed with 1 conflict: conflict with \"one\": .spec.size");
    assert_eq!(case.get(&path).await.expect(200)["spec"]["size"], 1);
}

async fn a_forced_apply_becomes_the_owner(case: Case) {
    let path = path(&case).await;
    case.apply(&path, "one", "", &widget("w", &json!({"size": 1, "color": "red"}))).await.expect(201);
    let forced = case.apply(&path, "two", "&force=true", &sized(2)).await.expect(200);
    assert_eq!(forced["spec"], json!({"size": 2, "color": "red"}));
    case.apply(&path, "one", "", &widget("w", &json!({"size": 1}))).await.refused(409, "Conflict");
    let after = case.apply(&path, "one", "", &widget("w", &json!({"color": "red"}))).await.expect(200);
    assert_eq!(after["spec"]["size"], 2, "who lost the field leaves it alone");
}

async fn apply_of_an_equal_value_is_no_conflict(case: Case) {
    let path = path(&case).await;
    case.apply(&path, "one", "", &sized(1)).await.expect(201);
    let after = case.apply(&path, "two", "", &sized(1)).await.expect(200);
    assert_eq!(managers(&after), ["one Apply -", "two Apply -"]);
}

async fn an_update_becomes_the_owner_of_what_it_changes(case: Case) {
    let path = path(&case).await;
    case.apply(&path, "one", "", &widget("w", &json!({"size": 1, "color": "red"}))).await.expect(201);
    let change = json!({"spec": {"size": 5}});
    let after = case.patch(&format!("{path}?fieldManager=hand"), "merge", &change).await.expect(200);
    assert_eq!(managers(&after), ["hand Update -", "one Apply -"]);
    let wanted = widget("w", &json!({"size": 1, "color": "red"}));
    let status = case.apply(&path, "one", "", &wanted).await.refused(409, "Conflict");
    assert_eq!(fields(&status), [".spec.size"]);
    assert!(message(&status).contains("conflict with \"hand\" using "), "{status}");
}

async fn a_status_is_applied_apart(case: Case) {
    let path = path(&case).await;
    case.apply(&path, "one", "", &sized(1)).await.expect(201);
    let ready = widget_status("w", &json!({"ready": true}));
    let after = case.apply(&format!("{path}/status"), "one", "", &ready).await.expect(200);
    assert_eq!((&after["spec"]["size"], &after["status"]["ready"]), (&json!(1), &json!(true)));
    assert_eq!(managers(&after), ["one Apply -", "one Apply status"]);
    let missing = format!("{}/none/status", case.widgets().await);
    case.apply(&missing, "one", "", &widget_status("none", &json!({}))).await.refused(404, "NotFound");
}

async fn conditions_of_several_managers_merge(case: Case) {
    let path = path(&case).await;
    let status = format!("{path}/status");
    case.apply(&path, "maker", "", &sized(1)).await.expect(201);
    let wanted =
        |kind: &str, value: &str| widget_status("w", &json!({"conditions": [{"type": kind, "status": value}]}));
    case.apply(&status, "one", "", &wanted("Ready", "True")).await.expect(200);
    let both = case.apply(&status, "two", "", &wanted("Synced", "True")).await.expect(200);
    assert_eq!(both["status"]["conditions"].as_array().map(Vec::len), Some(2));
    let answer = case.apply(&status, "two", "", &wanted("Ready", "False")).await.refused(409, "Conflict");
    assert_eq!(fields(&answer), [".status.conditions[type=\"Ready\"].status"]);
    let nothing = json!({
        "apiVersion": both["apiVersion"], "kind": both["kind"], "metadata": {"name": "w"},
    });
    let none = case.apply(&status, "two", "", &nothing).await.expect(200);
    assert_eq!(none["status"]["conditions"], json!([{"type": "Ready", "status": "True"}]));
}

async fn finalizers_of_several_managers_merge(case: Case) {
    let path = path(&case).await;
    let wanted = |finalizer: &str| {
        let mut object = sized(1);
        object["metadata"]["finalizers"] = json!([finalizer]);
        object
    };
    case.apply(&path, "one", "", &wanted("example.com/a")).await.expect(201);
    let both = case.apply(&path, "two", "", &wanted("example.com/b")).await.expect(200);
    assert_eq!(both["metadata"]["finalizers"], json!(["example.com/a", "example.com/b"]));
    let left = case.apply(&path, "one", "", &sized(1)).await.expect(200);
    assert_eq!(left["metadata"]["finalizers"], json!(["example.com/b"]));
}

async fn a_list_that_merges_takes_the_order_of_the_apply(case: Case) {
    let of = |name: String, letters: &str| {
        let finalizers: Vec<String> = letters.chars().map(|letter| format!("example.com/{letter}")).collect();
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "finalizers": finalizers}})
    };
    // What is there, what another manager applies, and what becomes of it.
    let rows = [
        ("xy", "yx", "yx"),
        ("ab", "cb", "acb"),
        ("abc", "ca", "bca"),
        ("ab", "xbya", "xbya"),
        ("abcd", "dxb", "acdxb"),
    ];
    for (at, (first, second, expected)) in rows.into_iter().enumerate() {
        let path = format!("{}/order-{at}", case.maps());
        case.apply(&path, "one", "", &of(format!("order-{at}"), first)).await.expect(201);
        let merged = case.apply(&path, "two", "", &of(format!("order-{at}"), second)).await.expect(200);
        let expected = of(String::new(), expected);
        assert_eq!(merged["metadata"]["finalizers"], expected["metadata"]["finalizers"], "{first} and then {second}");
    }
}

async fn an_apply_needs_a_manager(case: Case) {
    let status = case.patch(&path(&case).await, "apply", &sized(1)).await.refused(422, "Invalid");
    assert_eq!((fields(&status), reasons(&status)), (vec!["fieldManager"], vec!["FieldValueRequired"]));
}

async fn an_apply_with_managed_fields_is_refused(case: Case) {
    let mut wanted = sized(1);
    wanted["metadata"]["managedFields"] = json!([{"manager": "x", "operation": "Apply"}]);
    case.apply(&path(&case).await, "one", "", &wanted).await.refused(400, "BadRequest");
}

async fn only_an_apply_can_force(case: Case) {
    let path = path(&case).await;
    case.apply(&path, "one", "", &sized(1)).await.expect(201);
    let answer = case.patch(&format!("{path}?force=true"), "merge", &json!({"spec": {"size": 2}})).await;
    assert_eq!(fields(&answer.refused(422, "Invalid")), ["force"]);
}

async fn an_apply_may_be_yaml(case: Case) {
    let path = path(&case).await;
    let yaml = "apiVersion: conformance.example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec:\n  size: 3\n";
    let headers = [("content-type", "application/apply-patch+yaml")];
    let made = case.send("PATCH", &format!("{path}?fieldManager=one"), &headers, yaml).await.expect(201);
    assert_eq!(made["spec"]["size"], 3);
}

async fn containers_of_several_managers_merge(case: Case) {
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/d", case.namespace());
    let first = deployment("d", &json!([{"name": "a", "image": "one"}]));
    case.apply(&path, "one", "", &first).await.expect(201);
    let sidecar = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"template": {"spec": {"containers": [{"name": "b", "image": "two"}]}}},
    });
    let both = case.apply(&path, "two", "", &sidecar).await.expect(200);
    let containers = both.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    assert_eq!(containers.map(Vec::len), Some(2));
    assert_eq!(both["metadata"]["generation"], 2);
}

async fn containers_in_another_order_are_a_change(case: Case) {
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/d", case.namespace());
    let of = |names: [&str; 2]| deployment("d", &names.map(|name| json!({"name": name, "image": "one"})).into());
    case.apply(&path, "one", "", &of(["a", "b"])).await.expect(201);
    let turned = case.apply(&path, "one", "", &of(["b", "a"])).await.expect(200);
    assert_eq!(turned.pointer("/spec/template/spec/containers/0/name"), Some(&json!("b")));
    assert_eq!(turned["metadata"]["generation"], 2);
}

async fn two_containers_with_one_name_cannot_be_applied(case: Case) {
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/d", case.namespace());
    let twice = deployment("d", &json!([{"name": "a", "image": "one"}, {"name": "a", "image": "two"}]));
    let answer = case.apply(&path, "one", "", &twice).await.expect(500);
    let expected = ".spec.template.spec.containers: duplicate entries for key [name=\"a\"]";
    assert!(message(&answer).ends_with(expected), "{answer}");
}

async fn a_pull_secret_is_owned_as_a_whole(case: Case) {
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/d", case.namespace());
    let mut wanted = deployment("d", &json!([{"name": "a", "image": "one"}]));
    wanted["spec"]["template"]["spec"]["imagePullSecrets"] = json!([{"name": "p"}]);
    let made = case.apply(&path, "one", "", &wanted).await.expect(201);
    let owned = owned_by(&made, "one").pointer("/f:spec/f:template/f:spec/f:imagePullSecrets");
    assert_eq!(owned, Some(&json!({"k:{\"name\":\"p\"}": {}})));
}

fn applied_map(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
}

/// What a manager owns, or null.
fn owned_by<'a>(object: &'a Value, manager: &str) -> &'a Value {
    let entries = object["metadata"]["managedFields"].as_array();
    let entry = entries.into_iter().flatten().find(|entry| entry["manager"] == manager);
    entry.map_or(&Value::Null, |entry| &entry["fieldsV1"])
}

async fn an_applier_of_data_owns_its_entries(case: Case) {
    let path = format!("{}/a", case.maps());
    let made = case.apply(&path, "one", "", &applied_map(&json!({"a": "1"}))).await.expect(201);
    assert_eq!(owned_by(&made, "one"), &json!({"f:data": {"f:a": {}}}));
    let empty = case.apply(&path, "two", "", &applied_map(&json!({}))).await.expect(200);
    assert_eq!(owned_by(&empty, "two"), &json!({"f:data": {}}), "who has no entries to say owns the map");
    let mut written = config_map("b", "1");
    written["metadata"]["labels"] = json!({"x": "y"});
    let made = case.post(&format!("{}?fieldManager=three", case.maps()), &written).await.expect(201);
    let whole = json!({"f:data": {".": {}, "f:key": {}}, "f:metadata": {"f:labels": {".": {}, "f:x": {}}}});
    assert_eq!(owned_by(&made, "three"), &whole, "who writes a map that was not there owns all of it");
}

async fn data_is_removed_with_its_last_entry(case: Case) {
    let path = format!("{}/a", case.maps());
    case.apply(&path, "one", "", &applied_map(&json!({"a": "1"}))).await.expect(201);
    let taken = case.apply(&path, "two", "&force=true", &applied_map(&json!({"a": "2"}))).await.expect(200);
    assert_eq!(managers(&taken), ["two Apply -"], "nothing is left to the first");
    let nothing = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    let left = case.apply(&path, "two", "", &nothing).await.expect(200);
    assert!(left.get("data").is_none(), "{left}");
    assert_eq!(case.get(&path).await.expect(200), left);
}

async fn an_applied_null_removes_nothing_that_others_own(case: Case) {
    let path = format!("{}/a", case.maps());
    case.apply(&path, "one", "", &applied_map(&json!({"a": "1"}))).await.expect(201);
    let after = case.apply(&path, "two", "", &applied_map(&Value::Null)).await.expect(200);
    assert_eq!((&after["data"], owned_by(&after, "two")), (&json!({"a": "1"}), &json!({"f:data": {}})));
    let none = case.apply(&path, "one", "", &applied_map(&Value::Null)).await.expect(200);
    assert!(none.get("data").is_none(), "{none}");
}

async fn a_map_in_a_spec_is_removed_with_its_last_entry(case: Case) {
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/d", case.namespace());
    let limited = json!([{"name": "a", "image": "one", "resources": {"limits": {"cpu": "1"}}}]);
    let made = case.apply(&path, "one", "", &deployment("d", &limited)).await.expect(201);
    let containers = &owned_by(&made, "one")["f:spec"]["f:template"]["f:spec"]["f:containers"];
    assert_eq!(containers["k:{\"name\":\"a\"}"]["f:resources"], json!({"f:limits": {"f:cpu": {}}}));
    let free = json!([{"name": "a", "image": "one"}]);
    let left = case.apply(&path, "one", "", &deployment("d", &free)).await.expect(200);
    assert!(left.pointer("/spec/template/spec/containers/0/resources/limits").is_none(), "{left}");
}

async fn a_reference_is_owned_as_a_whole(case: Case) {
    let binding = |role: &str| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "b"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
        })
    };
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings/b", case.namespace());
    let made = case.apply(&path, "one", "", &binding("a")).await.expect(201);
    assert_eq!(owned_by(&made, "one"), &json!({"f:roleRef": {}}));
    let status = case.apply(&path, "two", "", &binding("b")).await.refused(409, "Conflict");
    assert_eq!(fields(&status), [".roleRef"]);
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": case.namespace()},
    });
    let path = format!("/api/v1/namespaces/{}/events/e", case.namespace());
    let made = case.apply(&path, "one", "", &event).await.expect(201);
    assert_eq!(owned_by(&made, "one"), &json!({"f:involvedObject": {}}));
    let mut owned = applied_map(&json!({}));
    owned["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "11111111-1111-1111-1111-111111111111"}]);
    let made = case.apply(&format!("{}/a", case.maps()), "one", "", &owned).await.expect(201);
    let item = "k:{\"uid\":\"11111111-1111-1111-1111-111111111111\"}";
    assert_eq!(owned_by(&made, "one")["f:metadata"], json!({"f:ownerReferences": {item: {}}}));
}
