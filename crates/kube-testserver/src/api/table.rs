//! The Table form of objects: what `kubectl get` prints.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    negotiate::Include,
    view::{View, metadata_only},
};

/// How a cell comes from its object.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A JSON path of the kind printer columns use.
    Path(String),
    /// Computed.
    Cell(fn(&Value, Timestamp) -> Value),
}

/// A column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) format: String,
    pub(crate) description: String,
    /// 0 is always shown, more only when asked for.
    pub(crate) priority: i64,
    pub(crate) source: Source,
}

impl Column {
    fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let path = match &self.source {
            Source::Cell(cell) => return cell(object, now),
            Source::Path(path) => path,
        };
        let found = json_path(object, path);
        let Some(first) = found.first() else { return Value::Null };
        match self.kind.as_str() {
            "integer" => first.as_i64().map_or(Value::Null, Into::into),
            "number" => first.as_f64().map_or(Value::Null, Into::into),
            "boolean" => first.as_bool().map_or(Value::Null, Into::into),
            "date" => first.as_str().map_or(Value::Null, |time| age(time, now)),
            _ if found.len() == 1 => match first {
                Value::String(text) => text.as_str().into(),
                other => other.to_string().into(),
            },
            _ => {
                let listed: Vec<String> =
                    found.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect();
                listed.join(",").into()
            }
        }
    }

    fn definition(&self) -> Value {
        json!({
            "name": self.name, "type": self.kind, "format": self.format,
            "description": self.description, "priority": self.priority,
        })
    }
}

/// One object's row.
pub(crate) fn row(view: &View, object: &Value, include: Include, now: Timestamp) -> Value {
    let columns = &view.kind.versions[view.version].columns;
    let cells: Vec<Value> = columns.iter().map(|column| column.cell(object, now)).collect();
    let object = match include {
        Include::Nothing => Value::Null,
        Include::Metadata => metadata_only(object),
        Include::Object => object.clone(),
    };
    json!({"cells": cells, "object": object})
}

/// Rows under their headings (which a watch sends only once).
pub(crate) fn table(view: &View, rows: &[Value], metadata: &Value, headings: bool) -> Value {
    let columns = &view.kind.versions[view.version].columns;
    let definitions: Value = if headings { columns.iter().map(Column::definition).collect() } else { Value::Null };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions, "rows": rows,
    })
}

/// How long ago, as people read it.
pub(crate) fn age(time: &str, now: Timestamp) -> Value {
    match time.parse::<Timestamp>() {
        Ok(then) => human_duration(now.as_second() - then.as_second()).into(),
        Err(_) => "<invalid>".into(),
    }
}

/// Two significant units at most, fewer the longer it is.
fn human_duration(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    let two = |first: i64, unit: &str, second: i64, smaller: &str| {
        if second == 0 { format!("{first}{unit}") } else { format!("{first}{unit}{second}{smaller}") }
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(years, "y", days % 365, "d"),
        _ => format!("{years}y"),
    }
}

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
    use super::*;

    #[test]
    fn durations_read_as_kubectl_prints_them() {
        for (seconds, expected) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (130, "2m10s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_460, "3h11m"),
            (28_800, "8h"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
            (315_360_000, "10y"),
        ] {
            assert_eq!(human_duration(seconds), expected, "{seconds}");
        }
    }

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
}
