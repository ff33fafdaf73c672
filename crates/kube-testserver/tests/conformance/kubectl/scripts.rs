//! The scripts.

use serde_json::json;

use super::tool::Terminal;
use crate::{
    case::Case,
    fixtures::{WIDGET_GROUP, config_map, widget},
    test::{Outcome, tests},
};

tests![
    version_shows_both_sides,
    api_resources_lists_core_and_custom_kinds,
    get_shows_columns,
    get_of_nothing_says_so,
    get_shows_the_columns_of_a_definition,
    get_watches,
    get_prints_json_and_fields,
    create_makes_things,
    apply_creates_then_configures,
    apply_can_be_server_side,
    patch_label_and_annotate_change_metadata,
    delete_deletes,
    delete_waits_for_finalizers,
    whoami_shows_the_user,
    can_i_shows_what_the_user_may_do,
    describe_shows_an_object,
    replace_and_wait_work,
    describe_shows_a_namespace,
    explain_shows_the_fields_of_a_custom_resource,
    explain_shows_the_fields_of_core_types_and_of_metadata,
];

async fn version_shows_both_sides(case: Case) -> Outcome {
    let text = Terminal::new(&case)?.run(&["version"]).await.text();
    assert!(text.contains("Client Version: v1.") && text.contains("Server Version: v1."), "{text}");
    Ok(())
}

async fn api_resources_lists_core_and_custom_kinds(case: Case) -> Outcome {
    case.widgets().await;
    let terminal = Terminal::new(&case)?;
    let rows = terminal.run(&["api-resources", "--no-headers"]).await.rows();
    let has = |wanted: [&str; 5]| rows.iter().any(|row| row.iter().eq(wanted.iter()));
    assert!(has(["configmaps", "cm", "v1", "true", "ConfigMap"]), "{rows:?}");
    let group = format!("--api-group={WIDGET_GROUP}");
    loop {
        // A real server needs a moment until discovery knows a new group.
        let rows = terminal.run(&["api-resources", "--no-headers", "--cached=false", &group]).await.rows();
        if let [row] = rows.as_slice() {
            assert_eq!(row.as_slice(), ["widgets", "wd", &format!("{WIDGET_GROUP}/v1"), "true", "Widget"]);
            return Ok(());
        }
    }
}

async fn get_shows_columns(case: Case) -> Outcome {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let rows = Terminal::new(&case)?.run(&["get", "configmaps"]).await.rows();
    assert_eq!(rows[0], ["NAME", "DATA", "AGE"]);
    assert_eq!(rows[1][..2], ["a", "1"]);
    let rows = Terminal::new(&case)?.run(&["get", "cm", "a", "-o", "name"]).await.rows();
    assert_eq!(rows, [["configmap/a"]]);
    Ok(())
}

async fn get_of_nothing_says_so(case: Case) -> Outcome {
    let terminal = Terminal::new(&case)?;
    let output = terminal.run(&["get", "configmaps", "-l", "no=such"]).await;
    assert_eq!(output.errors.trim(), format!("No resources found in {} namespace.", case.namespace()));
    let errors = terminal.run(&["get", "configmap", "none"]).await.errors();
    assert_eq!(errors.trim(), "Error from server (NotFound): configmaps \"none\" not found");
    let errors = terminal.run(&["get", "gadgets"]).await.errors();
    assert!(errors.contains("the server doesn't have a resource type \"gadgets\""), "{errors}");
    Ok(())
}

async fn get_shows_the_columns_of_a_definition(case: Case) -> Outcome {
    let widgets = case.widgets().await;
    case.post(&widgets, &widget("w", &json!({"color": "red", "size": 3}))).await.expect(201);
    case.eventually(&format!("/apis/{WIDGET_GROUP}/v1"), |answer| answer.code == 200).await;
    let terminal = Terminal::new(&case)?;
    let resource = format!("widgets.{WIDGET_GROUP}");
    let rows = terminal.run(&["get", &resource]).await.rows();
    assert_eq!((rows[0].as_slice(), &rows[1][..2]), (&to_words("NAME COLOR AGE")[..], &to_words("w red")[..]));
    let rows = terminal.run(&["get", &resource, "-o", "wide"]).await.rows();
    assert_eq!((rows[0].as_slice(), &rows[1][..3]), (&to_words("NAME COLOR SIZE AGE")[..], &to_words("w red 3")[..]));
    Ok(())
}

fn to_words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

async fn get_watches(case: Case) -> Outcome {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let terminal = Terminal::new(&case)?;
    let mut watch = terminal.start(&["get", "configmaps", "-w", "--output-watch-events"]);
    assert_eq!(watch.row().await, ["EVENT", "NAME", "DATA", "AGE"]);
    assert_eq!(watch.row().await[..3], ["ADDED", "a", "1"]);
    let patch = json!({"data": {"more": "2"}});
    case.patch(&format!("{}/a", case.maps()), "merge", &patch).await.expect(200);
    assert_eq!(watch.row().await[..3], ["MODIFIED", "a", "2"]);
    case.delete(&format!("{}/a", case.maps())).await.expect(200);
    assert_eq!(watch.row().await[..3], ["DELETED", "a", "2"]);
    Ok(())
}

async fn get_prints_json_and_fields(case: Case) -> Outcome {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let terminal = Terminal::new(&case)?;
    let object: serde_json::Value = serde_json::from_str(&terminal.run(&["get", "cm/a", "-o", "json"]).await.text())?;
    assert_eq!(object["data"]["key"], "1");
    assert_eq!(terminal.run(&["get", "cm", "a", "-o", "jsonpath={.data.key}"]).await.text(), "1");
    Ok(())
}

async fn create_makes_things(case: Case) -> Outcome {
    let terminal = Terminal::new(&case)?;
    let text = terminal.run(&["create", "configmap", "a", "--from-literal=key=1"]).await.text();
    assert_eq!(text.trim(), "configmap/a created");
    assert_eq!(case.get(&format!("{}/a", case.maps())).await.expect(200)["data"]["key"], "1");
    let errors = terminal.run(&["create", "configmap", "a"]).await.errors();
    assert!(errors.contains("configmaps \"a\" already exists"), "{errors}");
    let text = terminal.run(&["create", "secret", "generic", "s", "--from-literal=p=q"]).await.text();
    assert_eq!(text.trim(), "secret/s created");
    let text = terminal.run_with(&["create", "-f", "-"], &config_map("b", "1").to_string()).await.text();
    assert_eq!(text.trim(), "configmap/b created");
    let text = terminal.run(&["create", "deployment", "d", "--image=nginx", "--replicas=2", "--port=80"]).await.text();
    assert_eq!(text.trim(), "deployment.apps/d created");
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/d", case.namespace());
    let deployment = case.get(&path).await.expect(200);
    assert_eq!((&deployment["spec"]["replicas"], &deployment["metadata"]["generation"]), (&json!(2), &json!(1)));
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!((&container["image"], &container["ports"][0]["containerPort"]), (&json!("nginx"), &json!(80)));
    Ok(())
}

async fn apply_creates_then_configures(case: Case) -> Outcome {
    let widgets = case.widgets().await;
    case.eventually(&format!("/apis/{WIDGET_GROUP}/v1"), |answer| answer.code == 200).await;
    let terminal = Terminal::new(&case)?;
    for (object, shown) in [
        (config_map as fn(&str, &str) -> serde_json::Value, "configmap/a"),
        (|name, value| widget(name, &json!({"color": value})), "widget.conformance.example.com/a"),
    ] {
        for (value, done) in [("1", "created"), ("1", "unchanged"), ("2", "configured")] {
            terminal.file("object.yaml", &object("a", value).to_string())?;
            let text = terminal.run(&["apply", "-f", "object.yaml"]).await.text();
            assert_eq!(text.trim(), format!("{shown} {done}"));
        }
    }
    assert_eq!(case.get(&format!("{widgets}/a")).await.expect(200)["spec"]["color"], "2");
    Ok(())
}

async fn apply_can_be_server_side(case: Case) -> Outcome {
    let terminal = Terminal::new(&case)?;
    terminal.file("object.yaml", &config_map("a", "1").to_string())?;
    let apply = ["apply", "--server-side", "-f", "object.yaml"];
    for _ in 0..2 {
        assert_eq!(terminal.run(&apply).await.text().trim(), "configmap/a serverside-applied");
    }
    terminal.file("object.yaml", &config_map("a", "2").to_string())?;
    let other = ["apply", "--server-side", "--field-manager=other", "-f", "object.yaml"];
    let errors = terminal.run(&other).await.errors();
    assert!(errors.contains("conflict with \"kubectl\": .data.key"), "{errors}");
    let mut forced = other.to_vec();
    forced.push("--force-conflicts");
    terminal.run(&forced).await.text();
    assert_eq!(case.get(&format!("{}/a", case.maps())).await.expect(200)["data"]["key"], "2");
    Ok(())
}

async fn patch_label_and_annotate_change_metadata(case: Case) -> Outcome {
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let terminal = Terminal::new(&case)?;
    for (arguments, expected) in [
        (&["label", "cm", "a", "tier=web"][..], "configmap/a labeled"),
        (&["label", "cm", "a", "tier=db", "--overwrite"], "configmap/a labeled"),
        (&["annotate", "cm", "a", "note=hello"], "configmap/a annotated"),
        (&["patch", "cm", "a", "--type=merge", "-p", "{\"data\":{\"key\":\"2\"}}"], "configmap/a patched"),
        (&["patch", "cm", "a", "-p", "{\"data\":{\"more\":\"3\"}}"], "configmap/a patched"),
        (&["patch", "cm", "a", "-p", "{\"data\":{\"more\":\"3\"}}"], "configmap/a patched (no change)"),
        (&["label", "cm", "a", "tier-"], "configmap/a unlabeled"),
    ] {
        assert_eq!(terminal.run(arguments).await.text().trim(), expected, "{arguments:?}");
    }
    let object = case.get(&format!("{}/a", case.maps())).await.expect(200);
    assert_eq!(object["data"], json!({"key": "2", "more": "3"}));
    assert_eq!(object["metadata"]["annotations"]["note"], "hello");
    Ok(())
}

async fn delete_deletes(case: Case) -> Outcome {
    let terminal = Terminal::new(&case)?;
    for name in ["a", "b"] {
        case.post(&case.maps(), &config_map(name, "1")).await.expect(201);
    }
    let text = terminal.run(&["delete", "configmap", "a"]).await.text();
    assert!(text.starts_with("configmap \"a\" deleted"), "{text}");
    terminal.run(&["delete", "configmap", "--all"]).await.text();
    assert_eq!(terminal.run(&["get", "cm", "-o", "name"]).await.text(), "");
    terminal.run(&["delete", "configmap", "a"]).await.errors();
    terminal.run(&["delete", "configmap", "a", "--ignore-not-found"]).await.text();
    Ok(())
}

async fn delete_waits_for_finalizers(case: Case) -> Outcome {
    let path = format!("{}/a", case.maps());
    let mut object = config_map("a", "1");
    object["metadata"]["finalizers"] = json!(["example.com/wait"]);
    let made = case.post(&case.maps(), &object).await.expect(201);
    let mut watch = case.watch(&case.maps(), &format!("&resourceVersion={}", crate::fixtures::rv(&made))).await;
    let terminal = Terminal::new(&case)?;
    let delete = terminal.run(&["delete", "configmap", "a"]);
    let release = async {
        watch.next().await.expect("it is marked as deleted");
        case.patch(&path, "merge", &json!({"metadata": {"finalizers": null}})).await.expect(200);
    };
    let (output, ()) = tokio::join!(delete, release);
    output.text();
    assert_eq!(case.get(&path).await.code, 404);
    Ok(())
}

async fn whoami_shows_the_user(case: Case) -> Outcome {
    let text = Terminal::new(&case)?.run(&["auth", "whoami"]).await.text();
    assert!(text.contains("admin") && text.contains("system:masters"), "{text}");
    let text = Terminal::new(&case)?.run(&["auth", "whoami", "--as=bob", "--as-group=devs"]).await.text();
    assert!(text.contains("bob") && text.contains("devs") && !text.contains("system:masters"), "{text}");
    Ok(())
}

async fn describe_shows_an_object(case: Case) -> Outcome {
    case.post(&case.maps(), &config_map("a", "some text")).await.expect(201);
    let text = Terminal::new(&case)?.run(&["describe", "configmap", "a"]).await.text();
    assert!(text.contains(case.namespace()) && text.contains("some text"), "{text}");
    Ok(())
}

async fn describe_shows_a_namespace(case: Case) -> Outcome {
    let text = Terminal::new(&case)?.run(&["describe", "namespace", case.namespace()]).await.text();
    assert!(text.contains(case.namespace()) && text.contains("Active"), "{text}");
    Ok(())
}

async fn replace_and_wait_work(case: Case) -> Outcome {
    let terminal = Terminal::new(&case)?;
    case.post(&case.maps(), &config_map("a", "1")).await.expect(201);
    let text = terminal.run_with(&["replace", "-f", "-"], &config_map("a", "2").to_string()).await.text();
    assert_eq!(text.trim(), "configmap/a replaced");
    let text = terminal.run(&["wait", "--for=jsonpath={.data.key}=2", "configmap/a", "--timeout=30s"]).await.text();
    assert_eq!(text.trim(), "configmap/a condition met");
    Ok(())
}

async fn can_i_shows_what_the_user_may_do(case: Case) -> Outcome {
    let text = Terminal::new(&case)?.run(&["auth", "can-i", "create", "configmaps"]).await.text();
    assert_eq!(text.trim(), "yes");
    Ok(())
}

async fn explain_shows_the_fields_of_a_custom_resource(case: Case) -> Outcome {
    case.widgets().await;
    case.eventually(&format!("/openapi/v3/apis/{WIDGET_GROUP}/v1"), |answer| answer.code == 200).await;
    let terminal = Terminal::new(&case)?;
    let version = format!("--api-version={WIDGET_GROUP}/v1");
    let text = terminal.run(&["explain", "widgets.spec", &version]).await.text();
    assert!(text.contains("KIND:") && text.contains("Widget"), "{text}");
    assert!(text.lines().any(|line| line.split_whitespace().eq(["size", "<integer>"])), "{text}");
    Ok(())
}

async fn explain_shows_the_fields_of_core_types_and_of_metadata(case: Case) -> Outcome {
    case.widgets().await;
    case.eventually(&format!("/openapi/v3/apis/{WIDGET_GROUP}/v1"), |answer| answer.code == 200).await;
    let terminal = Terminal::new(&case)?;
    for (path, kind, field, typed) in [
        ("configmap", "ConfigMap", "data", "<map[string]string>"),
        ("secret.metadata", "Secret", "labels", "<map[string]string>"),
        ("lease.spec", "Lease", "holderIdentity", "<string>"),
        ("widgets.conformance.example.com.metadata", "Widget", "finalizers", "<[]string>"),
    ] {
        let text = terminal.run(&["explain", path]).await.text();
        assert!(text.contains("KIND:") && text.contains(kind), "{path}: {text}");
        assert!(text.lines().any(|line| line.split_whitespace().eq([field, typed])), "{path}: {text}");
    }
    Ok(())
}
