//! A Rust source as tokens: no comments, and strings in quotes.

use std::str::FromStr;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// Something that breaks a rule, and what to do about it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Violation {
    /// Relative to the root of the workspace, with slashes.
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) message: String,
}

impl Violation {
    pub(super) fn new(path: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.into(), line, message: message.into() }
    }
}

pub(super) struct Source<'a> {
    pub(super) path: &'a str,
    pub(super) text: &'a str,
    /// Each with its line. `::` is one token.
    pub(super) tokens: Vec<(String, usize)>,
}

impl<'a> Source<'a> {
    pub(super) fn new(path: &'a str, text: &'a str) -> Result<Self, Violation> {
        let stream = TokenStream::from_str(text)
            .map_err(|error| Violation::new(path, error.span().start().line, "fix the syntax error"))?;
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        Ok(Self { path, text, tokens })
    }

    /// Returns the directory of the crate, `crates/one`. `None` outside of a crate's `src`.
    pub(super) fn crate_of_src(&self) -> Option<&'a str> {
        self.path.split_once("/src/").map(|(directory, _)| directory)
    }

    /// Returns the lines where `tokens` follow each other.
    pub(super) fn find(&self, tokens: &[&str]) -> impl Iterator<Item = usize> {
        let found = move |window: &[(String, usize)]| {
            window.iter().zip(tokens).all(|((token, _), expected)| token == expected).then(|| window[0].1)
        };
        self.tokens.windows(tokens.len()).filter_map(found)
    }
}

fn flatten(stream: TokenStream, tokens: &mut Vec<(String, usize)>) {
    let mut after_colon = false;
    for tree in stream {
        let line = tree.span().start().line;
        let first_colon = after_colon;
        after_colon =
            matches!(&tree, TokenTree::Punct(sign) if sign.as_char() == ':' && sign.spacing() == Spacing::Joint);
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::None => ("", ""),
                };
                tokens.push((open.to_owned(), line));
                flatten(group.stream(), tokens);
                tokens.push((close.to_owned(), group.span_close().start().line));
            }
            TokenTree::Punct(sign) if first_colon && sign.as_char() == ':' => {
                tokens.pop();
                tokens.push(("::".to_owned(), line));
                after_colon = false;
            }
            tree => tokens.push((tree.to_string(), line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn comments_are_no_tokens_and_strings_are_one() {
        let source = Source::new("a.rs", "use a::b; // c\nlet d: e = \"f::g\";").unwrap();
        let tokens: Vec<_> = source.tokens.iter().map(|(token, _)| token.as_str()).collect();
        assert_eq!(tokens, ["use", "a", "::", "b", ";", "let", "d", ":", "e", "=", "\"f::g\"", ";"]);
        assert_eq!(source.find(&["d", ":"]).collect::<Vec<_>>(), [2]);
        assert_eq!(Source::new("a.rs", "fn f() {\n(}").err().map(|violation| violation.line), Some(2));
    }
}
