//! PEM, read as Go reads it: what is no block is passed over.

use base64::{Engine as _, prelude::BASE64_STANDARD};

/// A block between `-----BEGIN …-----` and `-----END …-----`.
#[derive(Debug, PartialEq)]
pub(super) struct Block<'a> {
    /// The words after `BEGIN`.
    pub(super) kind: &'a str,
    pub(super) has_headers: bool,
    pub(super) content: Vec<u8>,
}

/// The blocks of a text, in order.
pub(super) fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let begin = line.trim_end().strip_prefix("-----BEGIN ");
        let Some(kind) = begin.and_then(|rest| rest.strip_suffix("-----")) else { continue };
        let mut inside = lines.clone();
        if let Some(block) = block(kind, &mut inside) {
            blocks.push(block);
            lines = inside;
        }
    }
    blocks
}

/// Reads the lines of a block to its end.
fn block<'a>(kind: &'a str, lines: &mut std::str::Lines<'a>) -> Option<Block<'a>> {
    let end = format!("-----END {kind}-----");
    let (mut has_headers, mut encoded) = (false, String::new());
    for line in lines.map(str::trim) {
        match line {
            _ if line == end => {
                return Some(Block { kind, has_headers, content: BASE64_STANDARD.decode(encoded).ok()? });
            }
            _ if line.contains(':') => has_headers = true,
            _ => encoded.push_str(line),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_between_lines_of_any_other_kind() {
        let text = "first\r\n-----BEGIN A B-----\r\nMA==\r\n-----END A B-----\r\n\n-----BEGIN C-----\nx: y\n\nMA\n==\n-----END C-----";
        let block = |kind, has_headers| Block { kind, has_headers, content: b"0".to_vec() };
        assert_eq!(blocks(text), [block("A B", false), block("C", true)]);
    }

    #[test]
    fn what_has_no_end_or_is_no_base64_is_no_block() {
        for text in [
            "",
            "-----BEGIN A-----\nMA==\n",
            "-----BEGIN A-----\n?\n-----END A-----",
            "-----BEGIN A-----\n-----END B-----",
        ] {
            assert_eq!(blocks(text), [], "{text}");
        }
        let text = "-----BEGIN A-----\n-----BEGIN B-----\nMA==\n-----END B-----";
        assert_eq!(blocks(text), [Block { kind: "B", has_headers: false, content: b"0".to_vec() }]);
    }
}
