//! Names of fields as identifiers of a rule.

const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The identifier by which a rule selects the field with this name.
pub(super) fn escaped(name: &str) -> String {
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    let escapes = [("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__")];
    let mut rest = name;
    let mut identifier = String::with_capacity(name.len());
    while let Some(next) = rest.chars().next() {
        let escape = escapes.into_iter().find(|(plain, _)| rest.starts_with(plain));
        let length = if let Some((plain, escape)) = escape {
            identifier.push_str(escape);
            plain.len()
        } else {
            identifier.push(next);
            next.len_utf8()
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    identifier
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_the_real_server_does() {
        for (name, expected) in [
            ("plain", "plain"),
            ("one_underscore", "one_underscore"),
            ("two__underscores", "two__underscores__underscores"),
            ("namespace", "__namespace__"),
            ("a.b-c/d", "a__dot__b__dash__c__slash__d"),
        ] {
            assert_eq!(escaped(name), expected);
        }
    }
}
