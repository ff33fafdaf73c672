//! Label and field selectors: parsed from the query, matched against objects.

use crate::wire::{
    status::Status,
    syntax::{LABEL_VALUE_RULE, check_key, is_label_value},
};

/// What a label has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
    Greater(i64),
    Less(i64),
}

/// All requirements of a label selector; an empty one selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LabelSelector(Vec<(String, Test)>);

/// All terms of a field selector: field, wanted value, and whether it must be equal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FieldSelector(Vec<(String, String, bool)>);

impl LabelSelector {
    /// Reads both the equality and the set notation.
    pub(crate) fn parse(text: &str) -> Result<Self, Status> {
        let unable = |why: String| Status::bad_request(format!("unable to parse requirement: {why}"));
        let mut requirements = Vec::new();
        for (at, term) in split_outside_parentheses(text).into_iter().enumerate() {
            let term = term.trim();
            if term.is_empty() {
                if text.trim().is_empty() {
                    continue;
                }
                let expected = if at == 0 { "!, identifier, or 'end of string'" } else { "identifier after ','" };
                return Err(Status::bad_request(format!("found ',', expected: {expected}")));
            }
            let (key, test) = parse_requirement(term).map_err(unable)?;
            check_key(&key).map_err(unable)?;
            if let Test::In(values) | Test::NotIn(values) = &test {
                values.iter().try_for_each(|value| check_value(&key, value)).map_err(unable)?;
            }
            requirements.push((key, test));
        }
        Ok(Self(requirements))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object with these labels is selected.
    pub(crate) fn matches<'a>(&self, labels: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|(key, test)| {
            let value = labels(key);
            let number = || value.and_then(|value| value.parse::<i64>().ok());
            match test {
                Test::In(values) => value.is_some_and(|value| values.iter().any(|known| known == value)),
                Test::NotIn(values) => value.is_none_or(|value| values.iter().all(|known| known != value)),
                Test::Exists => value.is_some(),
                Test::Missing => value.is_none(),
                Test::Greater(bound) => number().is_some_and(|number| number > *bound),
                Test::Less(bound) => number().is_some_and(|number| number < *bound),
            }
        })
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|letter| {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    })
    .collect()
}

fn parse_requirement(term: &str) -> Result<(String, Test), String> {
    if let Some(key) = term.strip_prefix('!') {
        return Ok((key.trim().to_owned(), Test::Missing));
    }
    if let Some(list) = term.strip_suffix(')') {
        let (head, list) = list.split_once('(').ok_or_else(|| format!("found ')', in {term:?}"))?;
        let mut words = head.split_whitespace();
        let (Some(key), Some(operator), None) = (words.next(), words.next(), words.next()) else {
            return Err(format!("found '(', expected: in, notin in {term:?}"));
        };
        let values = list.split(',').map(|value| value.trim().to_owned()).collect();
        return match operator {
            "in" => Ok((key.to_owned(), Test::In(values))),
            "notin" => Ok((key.to_owned(), Test::NotIn(values))),
            other => Err(format!("found {other:?}, expected: in, notin, =, ==, !=, gt, lt")),
        };
    }
    for operator in ["!=", "==", "=", ">", "<"] {
        let Some((key, value)) = term.split_once(operator) else { continue };
        let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
        let number =
            || value.parse().map_err(|_| format!("{value:?}: for 'Gt', 'Lt' operators, the value must be an integer"));
        let test = match operator {
            "!=" => Test::NotIn(vec![value]),
            ">" => Test::Greater(number()?),
            "<" => Test::Less(number()?),
            _ => Test::In(vec![value]),
        };
        return Ok((key, test));
    }
    let mut words = term.split_whitespace();
    match (words.next(), words.next()) {
        (Some(key), None) => Ok((key.to_owned(), Test::Exists)),
        (_, Some(word)) => Err(format!("found '{word}', expected: in, notin, =, ==, !=, gt, lt")),
        (None, _) => Err("found '', expected: !, identifier".to_owned()),
    }
}

fn check_value(key: &str, value: &str) -> Result<(), String> {
    if is_label_value(value) {
        return Ok(());
    }
    Err(format!("values[0][{key}]: Invalid value: {value:?}: {LABEL_VALUE_RULE}"))
}

impl FieldSelector {
    /// Reads a field selector and refuses fields the resource cannot be selected by.
    ///
    /// `selectable` are the fields besides name and namespace; `None` for a core type that has no others, which a real
    /// server refuses in other words.
    pub(crate) fn parse(text: &str, selectable: Option<&[String]>) -> Result<Self, Status> {
        let mut terms = Vec::new();
        for term in text.split(',').filter(|term| !term.is_empty()) {
            let parsed = [("!=", false), ("==", true), ("=", true)]
                .iter()
                .find_map(|&(operator, equal)| term.split_once(operator).map(|(field, value)| (field, value, equal)));
            let Some((field, value, equal)) = parsed else {
                return Err(Status::bad_request(format!(
                    "invalid field selector: invalid selector: '{text}'; can't understand '{term}'"
                )));
            };
            let known = matches!(field, "metadata.name" | "metadata.namespace")
                || selectable.unwrap_or_default().iter().any(|known| known == field);
            if !known {
                return Err(Status::bad_request(match selectable {
                    Some(_) => format!("field label not supported: {field}"),
                    None => format!(
                        "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                    ),
                }));
            }
            terms.push((field.to_owned(), value.to_owned(), equal));
        }
        Ok(Self(terms))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object with these fields is selected; a field that is not set is the empty text.
    pub(crate) fn matches(&self, field: impl Fn(&str) -> String) -> bool {
        self.0.iter().all(|(name, value, equal)| (field(name) == *value) == *equal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels: Vec<(String, String)> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        LabelSelector::parse(selector)
            .unwrap()
            .matches(|key| labels.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str()))
    }

    #[test]
    fn label_selectors_select() {
        let labels = [("app", "web"), ("tier", "3"), ("example.com/x", "")];
        for (selector, expected) in [
            ("", true),
            ("app=web", true),
            ("app==web", true),
            ("app = web", true),
            ("app!=web", false),
            ("missing!=web", true),
            ("app", true),
            ("!app", false),
            ("!missing", true),
            ("example.com/x", true),
            ("example.com/x=", true),
            ("app in (db, web)", true),
            ("app in (db)", false),
            ("app notin (db,x),tier", true),
            ("missing notin (db)", true),
            ("tier>2", true),
            ("tier<3", false),
            ("app=web,tier=4", false),
        ] {
            assert_eq!(selects(selector, &labels), expected, "{selector}");
        }
    }

    #[test]
    fn malformed_label_selectors_are_bad_requests() {
        for selector in ["app=web,", "a b", "a in b", "a in (b", "=x", "a is (b)", "a=b=c", "a>x", "-a=b", "a/b/c=d"] {
            assert_eq!(LabelSelector::parse(selector).unwrap_err().code(), 400, "{selector}");
        }
    }

    #[test]
    fn field_selectors_select_known_fields_only() {
        let selectable = ["spec.x".to_owned()];
        let selector = FieldSelector::parse("metadata.name=a,spec.x!=b", Some(&selectable)).unwrap();
        assert!(selector.matches(|field| if field == "spec.x" { String::new() } else { "a".to_owned() }));
        assert!(!selector.matches(|_| "b".to_owned()));
        for bad in ["status.phase=Running", "metadata.name"] {
            assert_eq!(FieldSelector::parse(bad, Some(&selectable)).unwrap_err().code(), 400, "{bad}");
        }
    }
}
