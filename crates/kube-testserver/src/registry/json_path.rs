//! The JSON paths that printer columns and selectable fields use.

use serde_json::Value;

/// The subset of JSON path that printer columns and selectable fields use: fields (dotted or quoted in
/// brackets), indices, `[*]`, and filters of the form `[?(@.field=="value")]`.
pub(crate) fn json_path<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = vec![object];
    for step in steps(path) {
        found = found
            .into_iter()
            .flat_map(|value| -> Vec<&Value> {
                match &step {
                    Step::Field(name) => value.get(name.as_str()).into_iter().collect(),
                    Step::Index(at) => value.get(*at).into_iter().collect(),
                    Step::All => match value {
                        Value::Array(list) => list.iter().collect(),
                        Value::Object(map) => map.values().collect(),
                        _ => Vec::new(),
                    },
                    Step::Where(field, wanted) => value
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter(|item| {
                            json_path(item, field)
                                .first()
                                .is_some_and(|value| value.as_str() == Some(wanted) || value.to_string() == *wanted)
                        })
                        .collect(),
                    Step::Unknown => Vec::new(),
                }
            })
            .filter(|value| !value.is_null())
            .collect();
    }
    found
}

enum Step {
    Field(String),
    Index(usize),
    All,
    Where(String, String),
    Unknown,
}

/// Whether every step of `path` is understood here.
pub(crate) fn is_known_path(path: &str) -> bool {
    path.starts_with('.') && !steps(path).iter().any(|step| matches!(step, Step::Unknown))
}

/// The schema of the field at `path`, which names fields only, below the value that has this schema.
pub(crate) fn schema_at<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    let below = |schema: &'a Value, step: Step| match (step, schema.get("properties")) {
        (Step::Field(name), Some(properties)) => properties.get(name),
        (Step::Field(_), None) => schema.get("additionalProperties").filter(|below| below.is_object()),
        _ => None,
    };
    path.starts_with(['.', '[']).then(|| steps(path).into_iter().try_fold(schema, below)).flatten()
}

fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('$');
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let Some((inside, after)) = inner.split_once(']') else {
                steps.push(Step::Unknown);
                break;
            };
            steps.push(bracket(inside));
            rest = after;
        } else {
            let plain = rest.trim_start_matches('.');
            if plain.is_empty() {
                break;
            }
            let mut name = String::new();
            let mut letters = plain.char_indices();
            let mut end = plain.len();
            while let Some((at, letter)) = letters.next() {
                match letter {
                    '.' | '[' => {
                        end = at;
                        break;
                    }
                    '\\' => name.extend(letters.next().map(|(_, escaped)| escaped)),
                    other => name.push(other),
                }
            }
            rest = &plain[end..];
            match name.as_str() {
                "" => {}
                "*" => steps.push(Step::All),
                _ => steps.push(Step::Field(name)),
            }
        }
    }
    steps
}

fn bracket(inside: &str) -> Step {
    let unquoted = |text: &str| {
        ['\'', '"'].iter().find_map(|&quote| Some(text.trim().strip_prefix(quote)?.strip_suffix(quote)?.to_owned()))
    };
    if inside == "*" {
        return Step::All;
    }
    if let Ok(at) = inside.parse() {
        return Step::Index(at);
    }
    if let Some(name) = unquoted(inside) {
        return Step::Field(name);
    }
    let filter = inside.strip_prefix("?(").and_then(|filter| filter.strip_suffix(')'));
    if let Some((field, wanted)) = filter.and_then(|filter| filter.split_once("=="))
        && let Some(field) = field.trim().strip_prefix('@')
    {
        return Step::Where(field.to_owned(), unquoted(wanted).unwrap_or_else(|| wanted.trim().to_owned()));
    }
    Step::Unknown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_paths_find_what_printer_columns_mean() {
        let object = json!({
            "metadata": {"annotations": {"a.b/c": "x"}},
            "status": {"conditions": [{"type": "A", "status": "True"}, {"type": "Ready", "status": "False"}]},
        });
        for (path, expected) in [
            (".status.conditions[?(@.type==\"Ready\")].status", vec!["False"]),
            (".status.conditions[?(@.type=='A')].status", vec!["True"]),
            (".status.conditions[*].type", vec!["A", "Ready"]),
            (".status.conditions[1].type", vec!["Ready"]),
            (".metadata.annotations.a\\.b/c", vec!["x"]),
            (".metadata.annotations['a.b/c']", vec!["x"]),
            (".spec.missing", vec![]),
            (".status[", vec![]),
        ] {
            let found: Vec<&str> = json_path(&object, path).into_iter().filter_map(Value::as_str).collect();
            assert_eq!(found, expected, "{path}");
        }
        assert!(!is_known_path(".a[?(@.x>1)]"));
    }

    #[test]
    fn a_path_of_fields_leads_to_a_schema() {
        let schema = json!({"properties": {"spec": {"properties": {"a.b": {"type": "string"}}}, "labels": {"additionalProperties": {"type": "integer"}}}});
        for (path, expected) in [
            (".spec['a.b']", Some("string")),
            (".labels.any", Some("integer")),
            (".spec.c", None),
            (".spec[0]", None),
            ("spec", None),
        ] {
            assert_eq!(schema_at(&schema, path).and_then(|found| found["type"].as_str()), expected, "{path}");
        }
    }
}
