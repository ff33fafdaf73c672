//! Label selectors.

use std::collections::BTreeSet;

use crate::wire::{
    select::lexer::{Token, tokens},
    status::Status,
    syntax::{key_problems, label_value_problems},
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

impl LabelSelector {
    /// Reads both the equality and the set notation.
    pub(crate) fn parse(text: &str) -> Result<Self, Status> {
        let tokens = tokens(text);
        Parser { tokens: &tokens }.selector().map(Self).map_err(Status::bad_request)
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

/// Reads a selector from its tokens, the last of which is [`Token::End`].
struct Parser<'a> {
    tokens: &'a [Token],
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        self.tokens.first().unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let (first, rest) =
            self.tokens.split_first().map_or((Token::End, self.tokens), |(one, rest)| (one.clone(), rest));
        self.tokens = rest;
        first
    }

    fn starts_requirement(&self) -> bool {
        matches!(self.peek(), Token::Word(_)) || self.peek().is("!")
    }

    fn selector(&mut self) -> Result<Vec<(String, Test)>, String> {
        let mut requirements = Vec::new();
        loop {
            if *self.peek() == Token::End {
                return Ok(requirements);
            }
            if !self.starts_requirement() {
                let found = self.peek().text();
                return Err(format!("found '{found}', expected: !, identifier, or 'end of string'"));
            }
            let requirement = self.requirement().map_err(|why| format!("unable to parse requirement: {why}"))?;
            requirements.push(requirement);
            match self.next() {
                Token::End => return Ok(requirements),
                token if !token.is(",") => {
                    return Err(format!("found '{}', expected: ',' or 'end of string'", token.text()));
                }
                _ if !self.starts_requirement() => {
                    return Err(format!("found '{}', expected: identifier after ','", self.peek().text()));
                }
                _ => {}
            }
        }
    }

    fn requirement(&mut self) -> Result<(String, Test), String> {
        let missing = self.peek().is("!");
        if missing {
            self.next();
        }
        let key = self.word()?;
        let problems = key_problems(&key);
        if !problems.is_empty() {
            return Err(format!("<nil>: Invalid value: {key:?}: {}", problems.join("; ")));
        }
        let ends = *self.peek() == Token::End || self.peek().is(",");
        if ends || missing {
            return Ok((key, if missing { Test::Missing } else { Test::Exists }));
        }
        let operator = self.next();
        let test = match operator.text() {
            "in" => Test::In(self.values(&key)?),
            "notin" => Test::NotIn(self.values(&key)?),
            "=" | "==" => Test::In(vec![self.value(&key)?]),
            "!=" => Test::NotIn(vec![self.value(&key)?]),
            ">" => Test::Greater(self.number(&key)?),
            "<" => Test::Less(self.number(&key)?),
            other => return Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt")),
        };
        Ok((key, test))
    }

    fn word(&mut self) -> Result<String, String> {
        match self.next() {
            Token::Word(word) => Ok(word),
            other => Err(format!("found '{}', expected: identifier", other.text())),
        }
    }

    /// The value after an operator; nothing is the empty value.
    fn any_value(&mut self) -> Result<String, String> {
        let nothing = *self.peek() == Token::End || self.peek().is(",");
        if nothing { Ok(String::new()) } else { self.word() }
    }

    fn value(&mut self, key: &str) -> Result<String, String> {
        let value = self.any_value()?;
        check_values(key, std::slice::from_ref(&value))?;
        Ok(value)
    }

    fn number(&mut self, key: &str) -> Result<i64, String> {
        let value = self.any_value()?;
        let rule = "for 'Gt', 'Lt' operators, the value must be an integer";
        let number = value.parse().map_err(|_| format!("values[0]: Invalid value: {value:?}: {rule}"))?;
        check_values(key, &[value])?;
        Ok(number)
    }

    /// A list in parentheses, sorted and without repeats.
    fn values(&mut self, key: &str) -> Result<Vec<String>, String> {
        let open = self.next();
        if !open.is("(") {
            return Err(format!("found '{}' expected: '('", open.text()));
        }
        let mut values = BTreeSet::new();
        loop {
            let value = match self.peek() {
                Token::Word(_) => self.word()?,
                token if token.is(",") || token.is(")") => String::new(),
                other => return Err(format!("found '{}', expected: ',', ')' or identifier", other.text())),
            };
            values.insert(value);
            match self.next() {
                token if token.is(")") => break,
                token if token.is(",") => {}
                other => return Err(format!("found '{}', expected: ',' or ')'", other.text())),
            }
        }
        let values: Vec<String> = values.into_iter().collect();
        check_values(key, &values)?;
        Ok(values)
    }
}

fn check_values(key: &str, values: &[String]) -> Result<(), String> {
    let wrong = values.iter().enumerate().filter_map(|(at, value)| {
        let problems = label_value_problems(value);
        let shown = || format!("values[{at}][{key}]: Invalid value: {value:?}: {}", problems.join("; "));
        (!problems.is_empty()).then(shown)
    });
    let wrong: Vec<String> = wrong.collect();
    match wrong.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
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
            ("example.com/x in ()", true),
            ("app in (db, web)", true),
            ("app in (db,)", false),
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
        for (selector, message) in [
            ("app=web,", "found '', expected: identifier after ','"),
            (",a", "found ',', expected: !, identifier, or 'end of string'"),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a in b", "unable to parse requirement: found 'b' expected: '('"),
            ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("=x", "found '=', expected: !, identifier, or 'end of string'"),
            ("a=b=c", "found '=', expected: ',' or 'end of string'"),
            (
                "a>x",
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must \
                 be an integer",
            ),
            ("!!a", "unable to parse requirement: found '!', expected: identifier"),
        ] {
            let status = LabelSelector::parse(selector).unwrap_err();
            assert_eq!((status.code(), status.message()), (400, message), "{selector}");
        }
        for selector in ["-a=b", "a/b/c=d", "a=-b"] {
            assert_eq!(LabelSelector::parse(selector).unwrap_err().code(), 400, "{selector}");
        }
    }
}
