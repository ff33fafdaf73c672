//! [`Token`]: a bearer token that was found fit to be sent.

use http::HeaderValue;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::validity::Validity;
use crate::error::TokenError;

/// A bearer token, as the value of an `Authorization` header that is marked as sensitive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token(HeaderValue);

impl Token {
    /// Takes a token from a kubeconfig, a file or a plugin.
    ///
    /// White space around it is cut off: a block scalar in YAML and most editors leave a newline behind, and no token
    /// begins or ends with one. kubectl does so for token files; for embedded tokens it fails on each request.
    pub(crate) fn new(text: &SecretString) -> Result<Self, TokenError> {
        let text = text.expose_secret().trim();
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        if !text.is_ascii() {
            return Err(TokenError::NotAscii);
        }
        let header = SecretString::from(format!("Bearer {text}"));
        let mut value = match HeaderValue::from_str(header.expose_secret()) {
            Ok(value) if text.bytes().all(|byte| byte.is_ascii_graphic()) => value,
            _ => return Err(TokenError::Unprintable),
        };
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// From when to when a JSON Web Token holds; `loaded` is when it was read, in case it does not say since when.
    pub(crate) fn validity(&self, loaded: Timestamp) -> Option<Validity> {
        Validity::of_token(self.0.to_str().ok()?.strip_prefix("Bearer ")?, loaded)
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::Token;
    use crate::error::TokenError;

    fn token(text: &str) -> Result<Token, TokenError> {
        Token::new(&SecretString::from(text))
    }

    #[test]
    fn white_space_around_a_token_is_cut_off() {
        for text in ["abc", "abc\n", "abc\r\n", "  abc\t", "\nabc\n\n"] {
            assert_eq!(token(text).unwrap().header(), "Bearer abc", "{text:?}");
        }
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_refused() {
        let table = [
            ("", TokenError::Empty),
            (" \n", TokenError::Empty),
            ("a\nb", TokenError::Unprintable),
            ("a b", TokenError::Unprintable),
            ("a\tb", TokenError::Unprintable),
            ("a\0b", TokenError::Unprintable),
            ("a\u{7f}b", TokenError::Unprintable),
            ("schlüssel", TokenError::NotAscii),
        ];
        for (text, problem) in table {
            assert_eq!(token(text), Err(problem), "{text:?}");
        }
    }

    #[test]
    fn a_token_does_not_show_itself() {
        assert_eq!(format!("{:?}", token("abc").unwrap()), "Token(Sensitive)");
    }
}
