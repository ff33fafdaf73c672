//! Sets of field paths, in the shape of `fieldsV1`: what an object sets, and what differs between two of its states.
//!
//! Pure data. `managed_fields` has the owners of the sets.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use serde_json::{Map, Value, json};

use crate::registry::merge_schema::{Schema, Shape, item_key};

/// A set of field paths. A path is in it if its node is marked as `here`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Fields {
    pub(crate) here: bool,
    pub(crate) children: BTreeMap<String, Fields>,
}

impl Fields {
    /// Reads `fieldsV1`.
    pub(crate) fn from_json(value: &Value) -> Self {
        let mut fields = Self::default();
        for (step, below) in value.as_object().into_iter().flatten() {
            if step == "." {
                fields.here = true;
            } else {
                let mut child = Self::from_json(below);
                child.here |= child.children.is_empty();
                fields.children.insert(step.clone(), child);
            }
        }
        fields
    }

    /// Writes `fieldsV1`.
    pub(crate) fn into_json(self) -> Value {
        let mut map = Map::new();
        if self.here && !self.children.is_empty() {
            map.insert(".".to_owned(), json!({}));
        }
        map.extend(self.children.into_iter().map(|(step, child)| (step, child.into_json())));
        map.into()
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.here && self.children.is_empty()
    }

    /// Adds what there is below a step.
    fn insert(&mut self, step: &str, fields: Self) {
        if !fields.is_empty() {
            self.children.insert(step.to_owned(), fields);
        }
    }

    fn child(&mut self, step: String) -> &mut Self {
        self.children.entry(step).or_default()
    }

    /// Everything of both.
    pub(crate) fn union(&mut self, other: Self) {
        self.here |= other.here;
        if self.children.is_empty() {
            self.children = other.children;
            return;
        }
        for (step, child) in other.children {
            self.child(step).union(child);
        }
    }

    /// Takes `other`'s paths away.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.here &= !other.here;
        for (step, child) in &other.children {
            if let Some(mine) = self.children.get_mut(step) {
                mine.subtract(child);
                if mine.is_empty() {
                    self.children.remove(step);
                }
            }
        }
    }

    /// The paths in both.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let children = self.children.iter().filter_map(|(step, child)| {
            let both = child.intersection(other.children.get(step)?);
            (!both.is_empty()).then(|| (step.clone(), both))
        });
        Self { here: self.here && other.here, children: children.collect() }
    }

    /// The same set, with every declared field that holds one of its paths.
    pub(crate) fn with_declared(mut self, schema: &Schema) -> Self {
        let children = std::mem::take(&mut self.children).into_iter().map(|(step, child)| {
            let (declared, below) = match step.strip_prefix("f:") {
                Some(name) => (schema.declares(name), schema.field(name)),
                None => (false, schema.item()),
            };
            let mut child = child.with_declared(below);
            child.here |= declared;
            (step, child)
        });
        self.children = children.collect();
        self
    }

    /// Its paths as people write them, `.spec.list[name="x"].field`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.collect_paths("", &mut found);
        found
    }

    fn collect_paths(&self, prefix: &str, found: &mut Vec<String>) {
        if self.here {
            found.push(prefix.to_owned());
        }
        for (step, child) in &self.children {
            let shown = match step.split_once(':') {
                Some(("f", field)) => format!("{prefix}.{field}"),
                Some(("k", key)) => {
                    let key: Map<String, Value> = serde_json::from_str(key).unwrap_or_default();
                    let parts: Vec<String> = key.iter().map(|(field, value)| format!("{field}={value}")).collect();
                    format!("{prefix}[{}]", parts.join(","))
                }
                Some(("v", value)) => format!("{prefix}[={value}]"),
                _ => format!("{prefix}[{step}]"),
            };
            child.collect_paths(&shown, found);
        }
    }

    /// The paths an object sets.
    pub(crate) fn of(value: &Value, schema: &Schema) -> Self {
        let mut fields = Self::default();
        fields.add(value, schema, false);
        fields
    }

    /// A value with all that is in it: what a manager owns that adds or removes it.
    fn whole(value: &Value, schema: &Schema) -> Self {
        let mut fields = Self::default();
        fields.add(value, schema, true);
        fields.mark_all();
        fields
    }

    fn mark_all(&mut self) {
        self.here = true;
        self.children.values_mut().for_each(Self::mark_all);
    }

    /// `empty` says whether a merging list without items is a field: it is one that is added, and none that is applied.
    fn add(&mut self, value: &Value, schema: &Schema, empty: bool) {
        match (value, &schema.shape) {
            (_, Shape::Atomic) => self.here = true,
            (Value::Object(map), _) if !map.is_empty() => {
                for (name, value) in map {
                    let mut child = Self::default();
                    child.add(value, schema.field(name), empty);
                    // What has no children is a leaf already, and in the set.
                    child.here |= !schema.declares(name);
                    if !child.is_empty() {
                        self.children.insert(format!("f:{name}"), child);
                    }
                }
            }
            (Value::Array(list), Shape::Keyed(_) | Shape::Set) if !list.is_empty() || !empty => {
                for (step, item) in items(list, &schema.shape) {
                    let child = self.child(step);
                    child.add(item, schema.item(), empty);
                    child.here = true;
                }
            }
            _ => self.here = true,
        }
    }
}

/// The step to a merging list's item; none for an item without its key.
pub(crate) fn step_of(item: &Value, shape: &Shape) -> Option<String> {
    match shape {
        Shape::Keyed(keys) => Some(format!("k:{}", item_key(item, keys)?)),
        _ => Some(format!("v:{item}")),
    }
}

/// A merging list's items by their step; items without a key stay out.
pub(crate) fn items<'a>(list: &'a [Value], shape: &Shape) -> Vec<(String, &'a Value)> {
    list.iter().filter_map(|item| Some((step_of(item, shape)?, item))).collect()
}

/// What a write set or changed, and what it removed.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    pub(crate) changed: Fields,
    pub(crate) removed: Fields,
}

impl Difference {
    pub(crate) fn between(old: &Value, new: &Value, schema: &Schema) -> Self {
        let mut difference = Self::default();
        compare(old, new, schema, &mut difference.changed, &mut difference.removed);
        difference
    }
}

fn compare(old: &Value, new: &Value, schema: &Schema, changed: &mut Fields, removed: &mut Fields) {
    if old == new {
        return;
    }
    // Null is an empty map or list, whichever the other one is. An empty one is another value than null.
    let (old, new) = match (old, new) {
        (Value::Null, other) | (other, Value::Null) if empty_like(other) == Some(other) => {
            changed.here = true;
            return;
        }
        (Value::Null, filled) => (empty_like(filled).unwrap_or(old), new),
        (filled, Value::Null) => (old, empty_like(filled).unwrap_or(new)),
        both => both,
    };
    if let (Value::Array(old), Value::Array(new), Shape::Keyed(_) | Shape::Set) = (old, new, &schema.shape) {
        return compare_items(old, new, schema, changed, removed);
    }
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        changed.here = true;
        replace(old, new, schema, changed, removed);
        return;
    };
    if schema.shape == Shape::Atomic {
        changed.here = true;
        return;
    }
    let (before, after) = (fields_of(old, new, schema), fields_of(new, old, schema));
    let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    for name in names {
        let schema = schema.field(name);
        match (before.get(name), after.get(name)) {
            (Some(old), Some(new)) if old == new => {}
            (Some(old), Some(new)) => {
                let (mut inner_changed, mut inner_removed) = (Fields::default(), Fields::default());
                compare(old, new, schema, &mut inner_changed, &mut inner_removed);
                changed.insert(&format!("f:{name}"), inner_changed);
                removed.insert(&format!("f:{name}"), inner_removed);
            }
            (None, Some(new)) => {
                changed.children.insert(format!("f:{name}"), Fields::whole(new, schema));
            }
            (Some(old), None) => {
                removed.children.insert(format!("f:{name}"), Fields::whole(old, schema));
            }
            (None, None) => {}
        }
    }
}

/// What a value of another type adds and removes below its own path.
fn replace(old: &Value, new: &Value, schema: &Schema, changed: &mut Fields, removed: &mut Fields) {
    if schema.shape == Shape::Atomic {
        return;
    }
    for (value, fields) in [(old, removed), (new, changed)] {
        if value.is_object() {
            fields.children.extend(Fields::whole(value, schema).children);
        }
    }
}

/// Compares the items of merging lists. Items that are there several times are compared as one value.
fn compare_items(old: &[Value], new: &[Value], schema: &Schema, changed: &mut Fields, removed: &mut Fields) {
    let by_step = |list| {
        let mut found: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
        for (step, value) in items(list, &schema.shape) {
            found.entry(step).or_default().push(value);
        }
        found
    };
    let (before, after) = (by_step(old), by_step(new));
    let steps: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let marker = Fields { here: true, ..Fields::default() };
    let item = schema.item();
    for step in steps {
        let (mut inner_changed, mut inner_removed) = (Fields::default(), Fields::default());
        let old = before.get(step).map(Vec::as_slice).unwrap_or_default();
        let new = after.get(step).map(Vec::as_slice).unwrap_or_default();
        match (old, new) {
            ([old], [new]) => compare(old, new, item, &mut inner_changed, &mut inner_removed),
            ([], [new]) => inner_changed = Fields::whole(new, item),
            ([old], []) => inner_removed = Fields::whole(old, item),
            ([_, _, ..], after @ ([] | [_])) => {
                inner_removed = marker.clone();
                inner_changed = after.first().map(|new| Fields::whole(new, item)).unwrap_or_default();
            }
            (before @ ([] | [_]), [_, _, ..]) => {
                inner_changed = marker.clone();
                inner_removed = before.first().map(|old| Fields::whole(old, item)).unwrap_or_default();
            }
            (before, after) if before != after => inner_changed = marker.clone(),
            _ => {}
        }
        changed.insert(step, inner_changed);
        removed.insert(step, inner_removed);
    }
}

/// The fields of a map, and empty ones in place of those that are always there and that only the other map has.
fn fields_of<'a>(
    map: &'a Map<String, Value>,
    other: &'a Map<String, Value>,
    schema: &Schema,
) -> BTreeMap<&'a str, &'a Value> {
    let implied = other.iter().filter(|(name, _)| !map.contains_key(*name) && schema.has_always(name));
    let implied = implied.filter_map(|(name, value)| Some((name, empty_like(value)?)));
    map.iter().chain(implied).map(|(name, value)| (name.as_str(), value)).collect()
}

fn empty_like(value: &Value) -> Option<&'static Value> {
    static EMPTY_MAP: LazyLock<Value> = LazyLock::new(|| json!({}));
    static EMPTY_LIST: Value = Value::Array(Vec::new());
    match value {
        Value::Object(_) => Some(&EMPTY_MAP),
        Value::Array(_) => Some(&EMPTY_LIST),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> std::sync::Arc<Schema> {
        Schema::of_custom(Some(&json!({"properties": {
            "spec": {"properties": {"a": {}, "b": {}}},
            "status": {"properties": {"conditions": {
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
            }}},
        }})))
    }

    #[test]
    fn a_set_survives_the_round_trip_through_fields_v1() {
        let object = json!({"spec": {"a": 1, "free": {"x": [1]}}, "status": {"conditions": [{"type": "T", "x": 1}]}});
        let fields = Fields::of(&object, &schema());
        assert_eq!(
            fields.clone().into_json(),
            json!({
                "f:spec": {"f:a": {}, "f:free": {".": {}, "f:x": {}}},
                "f:status": {"f:conditions": {"k:{\"type\":\"T\"}": {".": {}, "f:type": {}, "f:x": {}}}},
            })
        );
        assert_eq!(Fields::from_json(&fields.clone().into_json()), fields);
        assert_eq!(fields.paths()[0], ".spec.a");
        assert!(fields.paths().contains(&".status.conditions[type=\"T\"].x".to_owned()));
    }

    #[test]
    fn a_difference_separates_changed_from_removed() {
        let old = json!({"spec": {"a": 1, "b": 2}, "status": {"conditions": [{"type": "T", "x": 1}, {"type": "U"}]}});
        let new = json!({"spec": {"a": 3}, "status": {"conditions": [{"type": "T", "x": 2}]}});
        let difference = Difference::between(&old, &new, &schema());
        assert_eq!(difference.changed.paths(), [".spec.a", ".status.conditions[type=\"T\"].x"]);
        assert_eq!(
            difference.removed.paths(),
            [".spec.b", ".status.conditions[type=\"U\"]", ".status.conditions[type=\"U\"].type"]
        );
    }

    #[test]
    fn an_applied_map_is_not_owned_itself_but_an_added_one_is() {
        let core = Schema::of_core("Deployment");
        let container = "k:{\"name\":\"a\"}";
        let object = json!({"spec": {
            "strategy": {"rollingUpdate": {"maxSurge": 1}},
            "template": {"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "1"}}}]}},
        }});
        assert_eq!(
            Fields::of(&object, &core).into_json(),
            json!({"f:spec": {
                "f:strategy": {"f:rollingUpdate": {"f:maxSurge": {}}},
                "f:template": {"f:spec": {"f:containers": {
                    container: {".": {}, "f:name": {}, "f:resources": {"f:limits": {"f:cpu": {}}}},
                }}},
            }})
        );
        let added = Difference::between(&json!({}), &object, &core);
        let mut whole = json!({"f:spec": {
            "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}},
            "f:template": {"f:spec": {"f:containers": {
                container: {".": {}, "f:name": {}, "f:resources": {".": {}, "f:limits": {".": {}, "f:cpu": {}}}},
            }}},
        }});
        assert_eq!(added.changed.into_json(), whole, "some structs are always there, and are never added");
        assert_eq!(Difference::between(&object, &json!({}), &core).removed.into_json(), whole);
        whole =
            json!({"f:spec": {".": {}, "f:a": {".": {}, "f:b": {}}}, "f:metadata": {"f:labels": {".": {}, "f:a": {}}}});
        let custom = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"a": {"b": 1}}});
        assert_eq!(Difference::between(&json!({}), &custom, &schema()).changed.into_json(), whole);
    }

    #[test]
    fn a_reference_is_owned_and_changed_as_a_whole() {
        type Place = fn(Value) -> Value;
        let (name, uid) = ("k:{\"name\":\"a\"}", "k:{\"uid\":\"a\"}");
        let reference = |other: &str| json!({"name": "a", "uid": "a", "other": other});
        let cases: [(&str, Place, Value); 9] = [
            ("Event", |to| json!({"involvedObject": to}), json!({"f:involvedObject": {}})),
            ("Event", |to| json!({"regarding": to}), json!({"f:regarding": {}})),
            ("Event", |to| json!({"related": to}), json!({"f:related": {}})),
            ("RoleBinding", |to| json!({"roleRef": to}), json!({"f:roleRef": {}})),
            ("ClusterRoleBinding", |to| json!({"roleRef": to}), json!({"f:roleRef": {}})),
            ("ServiceAccount", |to| json!({"secrets": [to]}), json!({"f:secrets": {name: {}}})),
            (
                "ConfigMap",
                |to| json!({"metadata": {"ownerReferences": [to]}}),
                json!({"f:metadata": {"f:ownerReferences": {uid: {}}}}),
            ),
            (
                "Pod",
                |to| json!({"spec": {"volumes": [{"name": "a", "csi": {"nodePublishSecretRef": to}}]}}),
                json!({"f:spec": {"f:volumes": {name: {"f:csi": {"f:nodePublishSecretRef": {}}}}}}),
            ),
            (
                "Pod",
                |to| {
                    let env = json!([{"name": "a", "valueFrom": {"secretKeyRef": to}}]);
                    json!({"spec": {"containers": [{"name": "a", "env": env}]}})
                },
                json!({"f:spec": {"f:containers": {name: {
                    "f:env": {name: {"f:valueFrom": {"f:secretKeyRef": {}}}},
                }}}}),
            ),
        ];
        for (kind, place, changed) in cases {
            let (old, new) = (place(reference("old")), place(reference("new")));
            let difference = Difference::between(&old, &new, &Schema::of_core(kind));
            assert_eq!((difference.changed.into_json(), difference.removed.into_json()), (changed, json!({})), "{new}");
        }
    }

    #[test]
    fn a_map_that_became_null_lost_its_entries_and_not_itself() {
        let (old, new) = (json!({"data": {"a": "1"}}), json!({"data": null}));
        let core = Schema::of_core("ConfigMap");
        let difference = Difference::between(&old, &new, &core);
        assert_eq!((difference.changed.paths(), difference.removed.paths()), (vec![], vec![".data.a".to_owned()]));
        let difference = Difference::between(&new, &old, &core);
        assert_eq!((difference.changed.paths(), difference.removed.paths()), (vec![".data.a".to_owned()], vec![]));
    }

    #[test]
    fn what_is_subtracted_is_gone_and_the_rest_stays() {
        let mut fields = Fields::from_json(&json!({"f:a": {".": {}, "f:b": {}}, "f:c": {}}));
        fields.subtract(&Fields::from_json(&json!({"f:a": {"f:b": {}}, "f:c": {}, "f:d": {}})));
        assert_eq!(fields.into_json(), json!({"f:a": {}}));
    }
}
