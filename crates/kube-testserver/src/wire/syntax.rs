//! The syntax of names, label keys and label values, with the real server's words for what breaks it.

const LABEL_VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start \
     and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation \
     is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start \
     and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end \
     with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

/// Whether `text` is a lowercase RFC 1123 label (of any length).
fn is_label(text: &str) -> bool {
    let alphanumeric = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    !text.is_empty()
        && text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text.chars().all(|letter| alphanumeric(letter) || letter == '-')
}

/// Whether `text` is a lowercase RFC 1123 subdomain (of any length).
pub(crate) fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_name(text: &str, extra: &[char]) -> bool {
    let ends = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
    ends(text.chars().next())
        && ends(text.chars().next_back())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || extra.contains(&letter))
}

const QUALIFIED_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character \
     (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
     '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

fn too_long(most: usize) -> String {
    format!("must be no more than {most} characters")
}

/// What is wrong with a qualified name: an optional DNS prefix, and a name of up to 63 letters.
pub(crate) fn key_problems(key: &str) -> Vec<String> {
    let mut parts = key.split('/');
    let (first, second, third) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    if third.is_some() {
        return vec![format!(
            "a qualified name {QUALIFIED_RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        )];
    }
    let mut problems = Vec::new();
    let name = second.unwrap_or(first);
    if second.is_some() {
        let prefix = if first.is_empty() { vec!["must be non-empty".to_owned()] } else { subdomain_problems(first) };
        problems.extend(prefix.into_iter().map(|problem| format!("prefix part {problem}")));
    }
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        problems.push(format!("name part {}", too_long(63)));
    }
    if !is_name(name, &['-', '_', '.']) {
        problems.push(format!("name part {QUALIFIED_RULE}"));
    }
    problems
}

/// What is wrong with the value of a label.
pub(crate) fn label_value_problems(value: &str) -> Vec<String> {
    let long = (value.len() > 63).then(|| too_long(63));
    let malformed = !value.is_empty() && !is_name(value, &['-', '_', '.']);
    long.into_iter().chain(malformed.then(|| LABEL_VALUE_RULE.to_owned())).collect()
}

/// What is wrong with a lowercase RFC 1123 subdomain.
pub(crate) fn subdomain_problems(name: &str) -> Vec<String> {
    let long = (name.len() > 253).then(|| too_long(253));
    long.into_iter().chain((!is_subdomain(name)).then(|| SUBDOMAIN_RULE.to_owned())).collect()
}

/// What is wrong with a lowercase RFC 1123 label.
pub(crate) fn label_problems(name: &str) -> Vec<String> {
    let long = (name.len() > 63).then(|| too_long(63));
    long.into_iter().chain((!is_label(name)).then(|| LABEL_RULE.to_owned())).collect()
}

/// What is wrong with an RFC 1035 label.
pub(crate) fn dns_1035_problems(name: &str) -> Vec<String> {
    let long = (name.len() > 63).then(|| too_long(63));
    let malformed = !(is_label(name) && name.starts_with(|letter: char| letter.is_ascii_lowercase()));
    let rule = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
                character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
                validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
    long.into_iter().chain(malformed.then(|| rule.to_owned())).collect()
}

/// What is wrong with a key of the data of a `ConfigMap` or `Secret`.
pub(crate) fn config_key_problems(key: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if key.len() > 253 {
        problems.push(too_long(253));
    }
    if key.is_empty() || !key.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter)) {
        problems.push(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
             'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                .to_owned(),
        );
    }
    match key {
        "." | ".." => problems.push(format!("must not be '{key}'")),
        _ if key.starts_with("..") => problems.push("must not start with '..'".to_owned()),
        _ => {}
    }
    problems
}
