//! What `kubectl get` prints.

use jiff::{SignedDuration, Timestamp};

use super::*;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

fn old_api() -> Api {
    // Things made by this cluster are a minute old when they are looked at.
    let asked = std::sync::atomic::AtomicU32::new(0);
    let start = Timestamp::from_second(1_800_000_000).unwrap();
    let step = SignedDuration::from_secs(1);
    Api::with_clock(move || {
        let tick = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        start + step * i32::try_from(tick).unwrap()
    })
}

fn table(api: &Api, target: &str) -> Value {
    send(api, "GET", target, &[("accept", TABLE)], "").expect(200)
}

fn headings(table: &Value) -> Vec<&str> {
    let columns = table["columnDefinitions"].as_array().unwrap();
    columns.iter().map(|column| column["name"].as_str().unwrap()).collect()
}

#[test]
fn core_types_have_their_columns() {
    let api = old_api();
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    let list = table(&api, CONFIGMAPS);
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    assert_eq!(headings(&list), ["Name", "Data", "Age"]);
    assert_eq!(list["rows"][0]["cells"], json!(["a", 1, "2s"]));
    assert_eq!(list["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let one = table(&api, &format!("{CONFIGMAPS}/a?includeObject=Object"));
    assert_eq!(one["rows"][0]["object"]["data"]["key"], "1");
    let none = table(&api, &format!("{CONFIGMAPS}?includeObject=None"));
    assert_eq!(none["rows"][0]["object"], Value::Null);
    assert_eq!(headings(&table(&api, "/api/v1/namespaces")), ["Name", "Status", "Age"]);
    assert_eq!(table(&api, "/api/v1/namespaces")["rows"][0]["cells"][1], "Active");
    assert_eq!(headings(&table(&api, "/api/v1/pods"))[..5], ["Name", "Ready", "Status", "Restarts", "Age"]);
}

#[test]
fn custom_resources_have_the_columns_they_declare() {
    let api = with_widgets();
    post(&api, WIDGETS, &widget("w", &json!({"color": "red", "size": 3}))).expect(201);
    let list = table(&api, WIDGETS);
    assert_eq!(headings(&list), ["Name", "Color", "Size", "Age"]);
    assert_eq!(list["columnDefinitions"][2]["priority"], 1);
    assert_eq!(list["rows"][0]["cells"], json!(["w", "red", 3, "0s"]));
}

#[tokio::test(start_paused = true)]
async fn a_watched_table_names_its_columns_once() {
    let api = Api::new();
    let mut watch = watch_as(&api, &format!("{CONFIGMAPS}?watch=1"), &[("accept", TABLE)]);
    post(&api, CONFIGMAPS, &config_map("a", "1")).expect(201);
    post(&api, CONFIGMAPS, &config_map("b", "1")).expect(201);
    let (_, first) = next(&mut watch).await;
    assert_eq!((headings(&first), &first["rows"][0]["cells"][0]), (vec!["Name", "Data", "Age"], &json!("a")));
    let (_, second) = next(&mut watch).await;
    assert_eq!((&second["columnDefinitions"], &second["rows"][0]["cells"][0]), (&Value::Null, &json!("b")));
}
