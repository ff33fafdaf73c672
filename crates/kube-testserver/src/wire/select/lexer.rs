//! The tokens of a label selector.

/// A token, with the text that error messages show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A key, a value, `in` or `notin`.
    Word(String),
    /// An operator, a parenthesis or a comma.
    Symbol(&'static str),
    /// Special letters that are no symbol.
    Unknown(String),
    End,
}

/// Longer symbols come before those that they begin with.
const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];

fn is_special(letter: char) -> bool {
    matches!(letter, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

impl Token {
    /// The text of the token.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Word(text) | Self::Unknown(text) => text,
            Self::Symbol(text) => text,
            Self::End => "",
        }
    }

    pub(super) fn is(&self, symbol: &str) -> bool {
        matches!(self, Self::Symbol(found) if *found == symbol)
    }
}

/// Splits a selector into tokens. The last one is [`Token::End`].
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let token = match rest.chars().next() {
            None => Token::End,
            Some(letter) if is_special(letter) => SYMBOLS
                .into_iter()
                .find(|symbol| rest.starts_with(symbol))
                .map_or_else(|| Token::Unknown(letter.to_string()), Token::Symbol),
            Some(_) => {
                let end = rest.find(|letter: char| is_special(letter) || letter.is_ascii_whitespace());
                Token::Word(rest[..end.unwrap_or(rest.len())].to_owned())
            }
        };
        rest = &rest[token.text().len()..];
        let is_last = token == Token::End;
        tokens.push(token);
        if is_last {
            return tokens;
        }
    }
}
