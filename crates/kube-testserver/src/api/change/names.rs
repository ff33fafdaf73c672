//! Which names of a definition are accepted: those that no other definition of its group has.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::{api::store::objects::Store, registry::definition::words};

/// The names that the other definitions of a group have.
pub(super) struct Taken<'a> {
    /// Plural, singular and short names.
    resources: HashSet<&'a str>,
    /// Kinds and their lists.
    kinds: HashSet<&'a str>,
}

impl<'a> Taken<'a> {
    /// The names in the group of a definition with this spec, without its own.
    pub(super) fn beside(store: &'a Store, spec: &Value) -> Self {
        let others = || {
            let is_other = |group: &str, plural: &str| spec["group"] == group && spec["names"]["plural"] != plural;
            store.kinds().filter(move |known| known.custom && is_other(&known.group, &known.plural))
        };
        let short = others().flat_map(|known| known.short_names.iter().map(String::as_str));
        let resources = others().flat_map(|known| [known.plural.as_str(), known.singular.as_str()]).chain(short);
        let kinds = others().flat_map(|known| [known.kind.as_str(), known.list_kind.as_str()]);
        Self { resources: resources.collect(), kinds: kinds.collect() }
    }
}

/// A name that cannot be accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// Returns the names that a definition has now, and the last conflict. A name that conflicts stays what it was.
pub(super) fn accept(requested: &Value, before: &Value, taken: &Taken<'_>) -> (Value, Option<Conflict>) {
    let mut accepted = if before.is_object() { before.clone() } else { json!({"plural": "", "kind": ""}) };
    let mut conflict = None;
    for (field, reason, taken) in [
        ("plural", "PluralConflict", &taken.resources),
        ("singular", "SingularConflict", &taken.resources),
        ("shortNames", "ShortNamesConflict", &taken.resources),
        ("kind", "KindConflict", &taken.kinds),
        ("listKind", "ListKindConflict", &taken.kinds),
        ("categories", "", &HashSet::new()),
    ] {
        let names = |value: &Value| value.as_str().map_or_else(|| words(value), |name| vec![name.to_owned()]);
        let known = names(&accepted[field]);
        let in_use = |name: &String| !known.contains(name) && taken.contains(name.as_str());
        let problems: Vec<String> = names(&requested[field])
            .into_iter()
            .filter(in_use)
            .map(|name| format!("{name:?} is already in use"))
            .collect();
        match problems.as_slice() {
            [] if requested[field].is_null() => drop(accepted.as_object_mut().and_then(|names| names.remove(field))),
            [] => accepted[field] = requested[field].clone(),
            [one] => conflict = Some(Conflict { reason, message: one.clone() }),
            many => conflict = Some(Conflict { reason, message: format!("[{}]", many.join(", ")) }),
        }
    }
    (accepted, conflict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_another_definition_has_is_not_accepted() {
        let taken =
            Taken { resources: HashSet::from(["gears", "gear", "g"]), kinds: HashSet::from(["Gear", "GearList"]) };
        let of = |plural: &str, short: &[&str], kind: &str| json!({"plural": plural, "singular": "cog", "shortNames": short, "kind": kind, "listKind": format!("{kind}List")});
        let conflict = |reason, message: &str| Some(Conflict { reason, message: message.to_owned() });
        let fresh = of("cogs", &["c"], "Cog");
        assert_eq!(accept(&fresh, &Value::Null, &taken), (fresh.clone(), None));
        let (names, found) = accept(&of("cogs", &["c"], "Gear"), &Value::Null, &taken);
        assert_eq!(found, conflict("ListKindConflict", "\"GearList\" is already in use"));
        assert_eq!(names, json!({"plural": "cogs", "singular": "cog", "shortNames": ["c"], "kind": ""}));
        let (names, found) = accept(&of("cogs", &["g", "gear"], "Cog"), &fresh, &taken);
        assert_eq!(found, conflict("ShortNamesConflict", "[\"g\" is already in use, \"gear\" is already in use]"));
        assert_eq!(names, fresh, "the names that it had stay");
        assert_eq!(accept(&of("cogs", &[], "Gear"), &of("cogs", &[], "Gear"), &taken).1, None, "it has them already");
    }
}
