//! [`TokenError`]: why a bearer token cannot be sent.

/// Why a bearer token cannot be sent. White space around a token is no trouble: it is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// There is nothing in it.
    #[error("the token is empty")]
    Empty,

    /// It holds a line break, a blank or another control character in its midst.
    #[error("the token holds white space or a control character")]
    Unprintable,

    /// It holds something other than ASCII.
    #[error("the token holds a character that is not ASCII")]
    NotAscii,
}
