//! Tables, as kubectl prints them.

use serde_json::{Value, json};

use crate::{
    case::Case,
    fixtures::{config_map, widget, widgets},
    test::tests,
};

tests![
    a_list_can_be_a_table,
    an_object_can_be_a_table,
    a_custom_resource_has_the_columns_of_its_definition,
    a_custom_resource_without_columns_shows_its_age,
    a_table_carries_metadata_by_default,
    a_watch_can_be_of_tables,
    a_table_is_given_where_it_is_preferred,
    a_pod_shows_why_its_container_waits,
];

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

fn columns(table: &Value) -> Vec<&str> {
    let columns = table["columnDefinitions"].as_array().expect("columns");
    columns.iter().map(|column| column["name"].as_str().expect("a name")).collect()
}

async fn a_list_can_be_a_table(case: Case) {
    for name in ["a", "b"] {
        case.post(&case.maps(), &config_map(name, "1")).await.expect(201);
    }
    let table = case.get_as(&case.maps(), TABLE).await.expect(200);
    assert_eq!((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    assert_eq!(columns(&table), ["Name", "Data", "Age"]);
    let cells: Vec<_> =
        table["rows"].as_array().into_iter().flatten().map(|row| (&row["cells"][0], &row["cells"][1])).collect();
    assert_eq!(cells, [(&json!("a"), &json!(1)), (&json!("b"), &json!(1))]);
    assert!(table["metadata"]["resourceVersion"].is_string());
}

async fn an_object_can_be_a_table(case: Case) {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let table = case.get_as(&format!("{}/a", case.maps()), TABLE).await.expect(200);
    assert_eq!((&table["kind"], table["rows"].as_array().map(Vec::len)), (&json!("Table"), Some(1)));
}

async fn a_custom_resource_has_the_columns_of_its_definition(case: Case) {
    let path = case.widgets().await;
    case.post(&path, &widget("w", &json!({"color": "red", "size": 3}))).await.expect(201);
    let table = case.get_as(&path, TABLE).await.expect(200);
    assert_eq!(columns(&table), ["Name", "Color", "Size", "Age"]);
    let cells = &table["rows"][0]["cells"];
    assert_eq!((&cells[0], &cells[1], &cells[2]), (&json!("w"), &json!("red"), &json!(3)));
    assert_eq!(table["columnDefinitions"][2]["priority"], 1, "shown when wide only");
}

async fn a_custom_resource_without_columns_shows_its_age(case: Case) {
    let group = format!("{}.example.com", case.unique());
    let mut definition = widgets(&group);
    definition["spec"]["versions"][0].as_object_mut().expect("it is one").remove("additionalPrinterColumns");
    case.define(&definition).await.expect("it is accepted");
    let path = format!("/apis/{group}/v1/namespaces/{}/widgets", case.namespace());
    assert_eq!(columns(&case.get_as(&path, TABLE).await.expect(200)), ["Name", "Age"]);
}

async fn a_table_carries_metadata_by_default(case: Case) {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let table = case.get_as(&case.maps(), TABLE).await.expect(200);
    let object = &table["rows"][0]["object"];
    assert_eq!((&object["kind"], &object["metadata"]["name"]), (&json!("PartialObjectMetadata"), &json!("a")));
    assert!(object.get("data").is_none());
    let table = case.get_as(&format!("{}?includeObject=Object", case.maps()), TABLE).await.expect(200);
    assert_eq!(table["rows"][0]["object"]["data"], json!({"key": "1"}));
    let table = case.get_as(&format!("{}?includeObject=None", case.maps()), TABLE).await.expect(200);
    assert!(table["rows"][0]["object"].is_null());
}

async fn a_watch_can_be_of_tables(case: Case) {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let mut watch = case.watch_as(&case.maps(), "", TABLE).await;
    let (kind, table) = watch.next().await.expect("the watch goes on");
    assert_eq!((kind.as_str(), &table["kind"]), ("ADDED", &json!("Table")));
    assert_eq!(columns(&table), ["Name", "Data", "Age"]);
    assert_eq!(table["rows"][0]["cells"][0], "a");
    case.post(&case.maps(), &config_map("b", "1")).await.expect(201);
    let (kind, table) = watch.next().await.expect("the watch goes on");
    assert_eq!((kind.as_str(), &table["rows"][0]["cells"][0]), ("ADDED", &json!("b")));
}

async fn a_table_is_given_where_it_is_preferred(case: Case) {
    for (accept, kind) in [
        (format!("application/json;q=0.5, {TABLE};q=0.9"), "Table"),
        (format!("{TABLE};q=0.5, application/json;q=0.9"), "ConfigMapList"),
        (format!("application/json;q=0.9, {TABLE}"), "Table"),
    ] {
        let answer = case.get_as(&case.maps(), &accept).await.expect(200);
        assert_eq!(answer["kind"], kind, "{accept}");
    }
}

async fn a_pod_shows_why_its_container_waits(case: Case) {
    let pods = case.core("pods");
    let spec = json!({"containers": [{"name": "c", "image": "i"}]});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec});
    case.post(&pods, &pod).await.expect(201);
    let container = json!({
        "name": "c", "image": "i", "imageID": "i", "ready": false, "restartCount": 2,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    });
    let status = json!({"status": {"phase": "Running", "podIP": "10.1.2.3", "containerStatuses": [container]}});
    case.patch(&format!("{pods}/p/status"), "merge", &status).await.expect(200);
    let table = case.get_as(&pods, TABLE).await.expect(200);
    assert_eq!(
        columns(&table),
        ["Name", "Ready", "Status", "Restarts", "Age", "IP", "Node", "Nominated Node", "Readiness Gates"]
    );
    let cells = table["rows"][0]["cells"].as_array().expect("cells");
    let shown: Vec<String> =
        cells.iter().map(|cell| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned)).collect();
    assert_eq!(shown[..4], ["p", "0/1", "CrashLoopBackOff", "2"]);
    assert_eq!(shown[5..], ["10.1.2.3", "<none>", "<none>", "<none>"]);
}
