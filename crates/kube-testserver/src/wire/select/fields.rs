//! Field selectors.

use crate::wire::status::Status;

/// All terms of a field selector: field, wanted value, and whether it must be equal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FieldSelector(Vec<(String, String, bool)>);

impl FieldSelector {
    /// Reads a field selector and refuses fields the resource cannot be selected by.
    ///
    /// `selectable` are the fields besides name and namespace; `None` for a core type that has no others, which a real
    /// server refuses in other words.
    pub(crate) fn parse(text: &str, selectable: Option<&[String]>) -> Result<Self, Status> {
        let mut terms = Vec::new();
        for term in split_terms(text).into_iter().filter(|term| !term.is_empty()) {
            let Some((field, value, equal)) = split_term(term) else {
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
            terms.push((field.to_owned(), unescape(value)?, equal));
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

/// The terms between the commas that no backslash escapes.
fn split_terms(text: &str) -> Vec<&str> {
    let mut escaped = false;
    let is_end = |letter| {
        let ends = letter == ',' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends
    };
    text.split(is_end).collect()
}

/// The field, the value and whether they must be equal.
fn split_term(term: &str) -> Option<(&str, &str, bool)> {
    let at = term.find('=')?;
    if let Some(field) = term[..at].strip_suffix('!') {
        return Some((field, &term[at + 1..], false));
    }
    let value = &term[at + 1..];
    Some((&term[..at], value.strip_prefix('=').unwrap_or(value), true))
}

/// The value that a term means. A backslash escapes a comma, an equals sign and itself.
fn unescape(value: &str) -> Result<String, Status> {
    let refuse = |why: String| Status::bad_request(format!("invalid field selector: {why}"));
    let mut unescaped = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(letter @ ('\\' | ',' | '=')) => unescaped.push(letter),
                Some(other) => return Err(refuse(format!("invalid escape sequence: \\{other}"))),
                None => return Err(refuse("invalid escape sequence: \\".to_owned())),
            },
            ',' | '=' => return Err(refuse(format!("unescaped character in value: {}", u32::from(letter)))),
            other => unescaped.push(other),
        }
    }
    Ok(unescaped)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    #[test]
    fn a_value_may_escape_what_ends_it() {
        let selector = FieldSelector::parse("metadata.name=a\\,b,metadata.namespace==c\\=", None).unwrap();
        assert!(selector.matches(|field| if field == "metadata.name" { "a,b".to_owned() } else { "c=".to_owned() }));
        for bad in ["metadata.name=a=b", "metadata.name=\\x", "metadata.name=\\"] {
            assert_eq!(FieldSelector::parse(bad, None).unwrap_err().code(), 400, "{bad}");
        }
    }
}
