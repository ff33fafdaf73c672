//! Selectors by labels and fields.

use serde_json::json;

use crate::{
    answer::message,
    case::Case,
    fixtures::{config_map, labelled, names, widget},
    test::tests,
};

tests![
    labels_select,
    names_select,
    selectable_fields_of_a_custom_resource_select,
    both_kinds_of_selectors_must_hold,
    a_malformed_label_selector_is_a_bad_request,
    a_field_that_cannot_be_selected_by_is_a_bad_request,
];

async fn labels_select(case: Case) {
    for (name, app) in [("a", "web"), ("b", "db"), ("c", "web")] {
        case.post(&case.maps(), &labelled(config_map(name, "1"), "app", app)).await.expect(201);
    }
    case.post(&case.maps(), &config_map("d", "1")).await.expect(201);
    for (selector, expected) in [
        ("app%3Dweb", vec!["a", "c"]),
        ("app%3D%3Ddb", vec!["b"]),
        ("app!%3Dweb", vec!["b", "d"]),
        ("app", vec!["a", "b", "c"]),
        ("!app", vec!["d"]),
        ("app+in+(web,db)", vec!["a", "b", "c"]),
        ("app+notin+(web)", vec!["b", "d"]),
        ("app,app!%3Ddb", vec!["a", "c"]),
        ("", vec!["a", "b", "c", "d"]),
    ] {
        let list = case.get(&format!("{}?labelSelector={selector}", case.maps())).await.expect(200);
        assert_eq!(names(&list), expected, "{selector}");
    }
}

async fn names_select(case: Case) {
    for name in ["a", "b"] {
        case.post(&case.maps(), &config_map(name, "1")).await.expect(201);
    }
    for (selector, expected) in [
        ("metadata.name%3Da".to_owned(), vec!["a"]),
        ("metadata.name!%3Da".to_owned(), vec!["b"]),
        (format!("metadata.namespace%3D{}", case.namespace()), vec!["a", "b"]),
        ("metadata.namespace%3Ddefault".to_owned(), vec![]),
    ] {
        let list = case.get(&format!("{}?fieldSelector={selector}", case.maps())).await.expect(200);
        assert_eq!(names(&list), expected, "{selector}");
    }
}

async fn selectable_fields_of_a_custom_resource_select(case: Case) {
    let widgets = case.widgets().await;
    for (name, color) in [("a", "red"), ("b", "blue")] {
        case.post(&widgets, &widget(name, &json!({"color": color}))).await.expect(201);
    }
    let list = case.get(&format!("{widgets}?fieldSelector=spec.color%3Dred")).await.expect(200);
    assert_eq!(names(&list), ["a"]);
}

async fn both_kinds_of_selectors_must_hold(case: Case) {
    for (name, app) in [("a", "web"), ("b", "web")] {
        case.post(&case.maps(), &labelled(config_map(name, "1"), "app", app)).await.expect(201);
    }
    let query = "labelSelector=app%3Dweb&fieldSelector=metadata.name%3Db";
    assert_eq!(names(&case.get(&format!("{}?{query}", case.maps())).await.expect(200)), ["b"]);
}

async fn a_malformed_label_selector_is_a_bad_request(case: Case) {
    for selector in ["a%3Db%3Dc", "a+in+b", "a+in+(b", "%3Dx", "a+b", "-a%3Db"] {
        let answer = case.get(&format!("{}?labelSelector={selector}", case.maps())).await;
        assert_eq!(answer.code, 400, "{selector}: {}", answer.text);
        answer.refused(400, "BadRequest");
    }
}

async fn a_field_that_cannot_be_selected_by_is_a_bad_request(case: Case) {
    let status = case.get(&format!("{}?fieldSelector=data.key%3D1", case.maps())).await.refused(400, "BadRequest");
    assert!(message(&status).contains("data.key"), "{status}");
    let widgets = case.widgets().await;
    case.get(&format!("{widgets}?fieldSelector=spec.size%3D1")).await.refused(400, "BadRequest");
}
