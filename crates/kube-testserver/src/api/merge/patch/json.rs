//! JSON patches and JSON merge patches, with what a real server does beyond the two RFCs.
//!
//! RFC 6902 patches go through `evanphx/json-patch` there: an operation without a value has a null, an index may be
//! negative and counts from the end, a missing key of an object can be tested for null, replaced and copied. RFC 7386
//! patches remove nulls from what they add, in lists as well.

use serde_json::{Map, Value};

/// How much the copies of one patch may add up to, in bytes.
const MOST_COPIED: usize = 3 * 1024 * 1024;

/// An operation of a patch: an object, which is read when it is carried out.
pub(super) type Operation = Map<String, Value>;

/// An operation that cannot be carried out.
#[derive(Debug)]
pub(super) struct DoesNotApply;

/// Carries out the operations of a JSON patch.
pub(super) fn patch(document: &mut Value, operations: &[Operation]) -> Result<(), DoesNotApply> {
    let mut copied = 0;
    for operation in operations {
        carry_out(document, operation, &mut copied)?;
    }
    Ok(())
}

fn carry_out(document: &mut Value, operation: &Operation, copied: &mut usize) -> Result<(), DoesNotApply> {
    let text = |field: &str| operation.get(field).and_then(Value::as_str).ok_or(DoesNotApply);
    let value = || operation.get("value").cloned().unwrap_or_default();
    match text("op")? {
        "add" => add(document, text("path")?, value()),
        "remove" => remove(document, text("path")?).map(drop),
        "replace" => replace(document, text("path")?, value()),
        "test" => test(document, text("path")?, operation.get("value")),
        "move" => {
            let moved = remove(document, text("from")?)?;
            add(document, text("path")?, moved)
        }
        "copy" => {
            let copy = read(document, text("from")?)?.cloned();
            *copied = copied.saturating_add(copy.as_ref().map_or(0, |copy| copy.to_string().len()));
            if *copied > MOST_COPIED {
                return Err(DoesNotApply);
            }
            add(document, text("path")?, copy.unwrap_or_default())
        }
        _ => Err(DoesNotApply),
    }
}

/// The last step of a path, and the object or list that it is a step into.
fn find<'a>(document: &'a mut Value, path: &str) -> Result<(&'a mut Value, String), DoesNotApply> {
    let mut steps = path.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).peekable();
    let mut place = document;
    loop {
        let step = steps.next().ok_or(DoesNotApply)?;
        if !(place.is_object() || place.is_array()) {
            return Err(DoesNotApply);
        }
        if steps.peek().is_none() {
            return Ok((place, step));
        }
        place = match place {
            Value::Object(map) => map.get_mut(&step),
            Value::Array(list) => index(&step, list.len()).ok().and_then(|at| list.get_mut(at)),
            _ => None,
        }
        .ok_or(DoesNotApply)?;
    }
}

/// The index that a step into a list means; it may be one past the end.
fn index(step: &str, length: usize) -> Result<usize, DoesNotApply> {
    let number: i64 = step.parse().map_err(|_| DoesNotApply)?;
    let length = i64::try_from(length).map_err(|_| DoesNotApply)?;
    usize::try_from(if number < 0 { number + length } else { number }).map_err(|_| DoesNotApply)
}

fn item<'a>(list: &'a mut [Value], step: &str) -> Result<&'a mut Value, DoesNotApply> {
    let at = index(step, list.len())?;
    list.get_mut(at).ok_or(DoesNotApply)
}

/// The value at a path; none for a missing key of an object.
fn read<'a>(document: &'a mut Value, path: &str) -> Result<Option<&'a Value>, DoesNotApply> {
    match find(document, path)? {
        (Value::Object(map), step) => Ok(map.get(&step)),
        (Value::Array(list), step) => item(list, &step).map(|item| Some(&*item)),
        _ => Err(DoesNotApply),
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), DoesNotApply> {
    match find(document, path)? {
        (Value::Object(map), step) => drop(map.insert(step, value)),
        (Value::Array(list), step) if step == "-" => list.push(value),
        (Value::Array(list), step) => {
            let at = index(&step, list.len() + 1)?;
            if at > list.len() {
                return Err(DoesNotApply);
            }
            list.insert(at, value);
        }
        _ => return Err(DoesNotApply),
    }
    Ok(())
}

fn remove(document: &mut Value, path: &str) -> Result<Value, DoesNotApply> {
    match find(document, path)? {
        (Value::Object(map), step) => map.remove(&step).ok_or(DoesNotApply),
        (Value::Array(list), step) => {
            let at = index(&step, list.len())?;
            if at < list.len() { Ok(list.remove(at)) } else { Err(DoesNotApply) }
        }
        _ => Err(DoesNotApply),
    }
}

fn replace(document: &mut Value, path: &str, value: Value) -> Result<(), DoesNotApply> {
    if path.is_empty() {
        if !(value.is_object() || value.is_array()) {
            return Err(DoesNotApply);
        }
        *document = value;
        return Ok(());
    }
    match find(document, path)? {
        (Value::Object(map), step) => drop(map.insert(step, value)),
        (Value::Array(list), step) => *item(list, &step)? = value,
        _ => return Err(DoesNotApply),
    }
    Ok(())
}

fn test(document: &mut Value, path: &str, wanted: Option<&Value>) -> Result<(), DoesNotApply> {
    let wanted = wanted.filter(|value| !value.is_null());
    let found = if path.is_empty() { Some(&*document) } else { read(document, path)?.filter(|value| !value.is_null()) };
    if found == wanted { Ok(()) } else { Err(DoesNotApply) }
}

/// Lays a JSON merge patch over a value.
pub(super) fn merge(value: &mut Value, patch: &Value) {
    match (value, patch) {
        (Value::Object(value), Value::Object(patch)) => {
            for (name, wanted) in patch {
                match value.get_mut(name) {
                    _ if wanted.is_null() => drop(value.remove(name)),
                    Some(current) if !current.is_null() => merge(current, wanted),
                    _ => drop(value.insert(name.clone(), without_nulls(wanted))),
                }
            }
        }
        (value @ Value::Object(_), patch) => *value = patch.clone(),
        (value, patch) => *value = without_nulls(patch),
    }
}

/// A value without the fields that are null. Nulls that are items of a list stay.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let fields = map.iter().filter(|(_, value)| !value.is_null());
            Value::Object(fields.map(|(name, value)| (name.clone(), without_nulls(value))).collect())
        }
        Value::Array(list) => list.iter().map(without_nulls).collect(),
        scalar => scalar.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(operations: &Value) -> Option<Value> {
        let mut document = json!({"a": {"b": 1, "n": null}, "l": [1, 2, 3]});
        let operations: Vec<Operation> = serde_json::from_value(operations.clone()).unwrap();
        patch(&mut document, &operations).is_ok().then_some(document)
    }

    #[test]
    fn a_missing_key_of_an_object_can_be_tested_replaced_and_copied() {
        for (operation, at, expected) in [
            (json!({"op": "test", "path": "/a/x"}), "/a/x", None),
            (json!({"op": "test", "path": "/a/n", "value": null}), "/a/n", Some(json!(null))),
            (json!({"op": "replace", "path": "/a/x", "value": 2}), "/a/x", Some(json!(2))),
            (json!({"op": "copy", "from": "/a/x", "path": "/a/y"}), "/a/y", Some(json!(null))),
            (json!({"op": "add", "path": "/a/x"}), "/a/x", Some(json!(null))),
        ] {
            let document = patched(&json!([operation])).unwrap();
            assert_eq!(document.pointer(at), expected.as_ref(), "{operation}");
        }
        for operation in [
            json!({"op": "test", "path": "/a/x", "value": 1}),
            json!({"op": "test", "path": "/a/b"}),
            json!({"op": "remove", "path": "/a/x"}),
            json!({"op": "move", "from": "/a/x", "path": "/a/y"}),
            json!({"op": "replace", "path": "/a/x/y", "value": 2}),
        ] {
            assert_eq!(patched(&json!([operation])), None, "{operation}");
        }
    }

    #[test]
    fn an_index_may_count_from_the_end_and_begin_with_a_zero() {
        for (operation, expected) in [
            (json!({"op": "remove", "path": "/l/-1"}), json!([1, 2])),
            (json!({"op": "add", "path": "/l/-1", "value": 4}), json!([1, 2, 3, 4])),
            (json!({"op": "add", "path": "/l/-", "value": 4}), json!([1, 2, 3, 4])),
            (json!({"op": "add", "path": "/l/3", "value": 4}), json!([1, 2, 3, 4])),
            (json!({"op": "replace", "path": "/l/01", "value": 4}), json!([1, 4, 3])),
        ] {
            assert_eq!(patched(&json!([operation])).unwrap()["l"], expected, "{operation}");
        }
        for operation in [
            json!({"op": "remove", "path": "/l/-4"}),
            json!({"op": "remove", "path": "/l/-"}),
            json!({"op": "add", "path": "/l/4", "value": 4}),
            json!({"op": "replace", "path": "/l/3", "value": 4}),
            json!({"op": "unknown", "path": "/l"}),
            json!({"path": "/l"}),
        ] {
            assert_eq!(patched(&json!([operation])), None, "{operation}");
        }
    }

    #[test]
    fn a_merge_patch_adds_no_nulls() {
        for (patch, expected) in [
            (json!({"a": null}), json!({"l": [1]})),
            (json!({"a": {"b": null}}), json!({"a": {}, "l": [1]})),
            (
                json!({"x": {"y": null, "z": [{"n": null}, null]}}),
                json!({"a": {"b": 1}, "l": [1], "x": {"z": [{}, null]}}),
            ),
            (json!({"l": [{"n": null}]}), json!({"a": {"b": 1}, "l": [{}]})),
            (json!({"a": [{"n": null}]}), json!({"a": [{"n": null}], "l": [1]})),
        ] {
            let mut value = json!({"a": {"b": 1}, "l": [1]});
            merge(&mut value, &patch);
            assert_eq!(value, expected, "{patch}");
        }
    }
}
