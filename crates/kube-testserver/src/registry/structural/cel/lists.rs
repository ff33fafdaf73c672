//! Sets and maps that are written as lists: what is equal, and what their sum is.

use std::sync::Arc;

use kube_cel::cel::{
    ExecutionError, Value,
    objects::{Key, ResolveResult},
};

use super::shape::Identity;

/// The names of the functions that take the place of `==` and `+`.
pub(super) const EQUAL: &str = "@equal_lists";
pub(super) const SUM: &str = "@sum_of_lists";

/// The identity of a list's items as the last argument of these functions, if the order of the items does not count.
pub(super) fn keys_of(identity: &Identity) -> Option<&[String]> {
    match identity {
        Identity::Place => None,
        Identity::Value => Some(&[]),
        Identity::Keys(keys) => Some(keys),
    }
}

fn list(value: Value) -> Result<Arc<Vec<Value>>, ExecutionError> {
    if let Value::List(items) = value { Ok(items) } else { Err(ExecutionError::NoSuchOverload) }
}

/// Whether two items stand for the same one. Without keys, their values say so.
fn is_same(left: &Value, right: &Value, keys: &[Value]) -> bool {
    if keys.is_empty() {
        return left == right;
    }
    let field = |item: &Value, key: &Value| match (item, key) {
        (Value::Map(map), Value::String(key)) => map.map.get(&Key::String(Arc::clone(key))).cloned(),
        _ => None,
    };
    keys.iter().all(|key| field(left, key) == field(right, key))
}

/// Whether two lists have the same items, in any order.
pub(super) fn equal(left: Value, right: Value, keys: Value) -> ResolveResult {
    let (left, right, keys) = (list(left)?, list(right)?, list(keys)?);
    let has_equal = |item: &Value| left.iter().any(|other| is_same(other, item, &keys) && other == item);
    Ok((left.len() == right.len() && right.iter().all(has_equal)).into())
}

/// The items of both lists. Of two that are the same, it has the second in the place of the first.
pub(super) fn sum(left: Value, right: Value, keys: Value) -> ResolveResult {
    let (left, right, keys) = (list(left)?, list(right)?, list(keys)?);
    let mut items = left.to_vec();
    for item in right.iter() {
        match items.iter_mut().find(|other| is_same(other, item, &keys)) {
            Some(other) => *other = item.clone(),
            None => items.push(item.clone()),
        }
    }
    Ok(Value::List(Arc::new(items)))
}
