//! What `scale` reads and writes in a custom resource.

use serde_json::Value;

use crate::api::object::go_values::shown;
use crate::{
    registry::{go_types::go_type, kinds::Scale},
    wire::status::Cause,
};

/// What is wrong with the fields that `scale` shows, or with those in the status only.
pub(super) fn problems(object: &Value, scale: &Scale, status: bool, causes: &mut Vec<Cause>) {
    let spec = Some(&scale.spec_replicas).filter(|_| !status);
    for path in spec.into_iter().chain([&scale.status_replicas]) {
        let Some(found) = value_at(object, path, causes) else { continue };
        match found.as_i64() {
            None => {
                let kind = go_type(found);
                let rule = format!("{path} accessor error: {} is of the type {kind}, expected int64", plain(found));
                causes.push(Cause::invalid_raw(path, "0", &rule));
            }
            Some(number) if number < 0 => {
                causes.push(Cause::invalid_raw(path, &number.to_string(), "should be a non-negative integer"));
            }
            Some(number) if number > i64::from(i32::MAX) => {
                let rule = format!("should be less than or equal to {}", i32::MAX);
                causes.push(Cause::invalid_raw(path, &number.to_string(), &rule));
            }
            Some(_) => {}
        }
    }
    let selector = scale.label_selector.as_ref().and_then(|path| Some((path, value_at(object, path, causes)?)));
    if let Some((path, found)) = selector.filter(|(_, found)| !found.is_string()) {
        let kind = go_type(found);
        let rule = format!("{path} accessor error: {} is of the type {kind}, expected string", plain(found));
        causes.push(Cause::invalid(path, "", &rule));
    }
}

/// The value at a path. What is on the way must be objects.
fn value_at<'a>(object: &'a Value, path: &str, causes: &mut Vec<Cause>) -> Option<&'a Value> {
    path.trim_start_matches('.').split('.').try_fold(object, |value, field| {
        if !(value.is_object() || value.is_null()) {
            let (kind, wanted) = (go_type(value), go_type(&Value::Object(serde_json::Map::new())));
            let rule = format!("{path} accessor error: {} is of the type {kind}, expected {wanted}", plain(value));
            causes.push(Cause::invalid_raw(path, "0", &rule));
        }
        value.get(field)
    })
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| shown(value), str::to_owned)
}
