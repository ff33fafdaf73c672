//! A Rust source, with its code and its comments apart.
//!
//! A lexer of a hundred lines, not a parser: enough to know that a word in a string is no code. What must not live
//! here: any rule.

/// A Rust source. All three texts have the same lines.
pub(super) struct Source<'a> {
    pub(super) path: &'a str,
    pub(super) text: &'a str,
    /// The text with comments and the insides of literals blanked.
    pub(super) code: String,
    /// The text with all but comments blanked.
    pub(super) comments: String,
}

impl<'a> Source<'a> {
    pub(super) fn new(path: &'a str, text: &'a str) -> Self {
        let (code, comments) = separate(text);
        Self { path, text, code, comments }
    }

    /// The crate it belongs to, as a path: `crates/one`. `None` outside of a crate's `src`.
    pub(super) fn crate_of_src(&self) -> Option<&'a str> {
        self.path.split_once("/src/").map(|(directory, _)| directory)
    }
}

/// The lines that contain `pattern`, counted from one.
pub(super) fn lines_with(text: &str, pattern: impl Fn(&str) -> bool) -> impl Iterator<Item = usize> {
    text.lines().enumerate().filter_map(move |(index, line)| pattern(line).then_some(index + 1))
}

/// Whether `line` contains `word`, with nothing that continues a name on either side.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(in_name)
            && !line[at + word.len()..].chars().next().is_some_and(in_name)
    })
}

#[derive(Clone, Copy)]
enum In {
    Code,
    LineComment,
    BlockComment { depth: usize },
    Text { raw_hashes: Option<usize> },
}

fn separate(text: &str) -> (String, String) {
    let chars: Vec<char> = text.chars().collect();
    let (mut code, mut comments) = (String::new(), String::new());
    let mut state = In::Code;
    let mut at = 0;
    while let Some(&char) = chars.get(at) {
        let next = chars.get(at + 1).copied();
        // How many characters belong together, and whether they are code or comment.
        let (length, is_code, is_comment, after) = match (state, char, next) {
            (In::LineComment, '\n', _) => (1, false, false, In::Code),
            (In::BlockComment { depth: 1 }, '*', Some('/')) => (2, false, true, In::Code),
            (In::BlockComment { depth }, '*', Some('/')) => (2, false, true, In::BlockComment { depth: depth - 1 }),
            (In::BlockComment { depth }, '/', Some('*')) => (2, false, true, In::BlockComment { depth: depth + 1 }),
            (In::LineComment | In::BlockComment { .. }, ..) => (1, false, true, state),
            (In::Text { raw_hashes: None }, '\\', Some(_)) => (2, false, false, state),
            (In::Text { raw_hashes: None }, '"', _) => (1, true, false, In::Code),
            (In::Text { raw_hashes: Some(hashes) }, '"', _) if hashes_at(&chars, at + 1) >= hashes => {
                (1 + hashes, true, false, In::Code)
            }
            (In::Text { .. }, ..) => (1, false, false, state),
            (In::Code, '/', Some('/')) => (2, false, true, In::LineComment),
            (In::Code, '/', Some('*')) => (2, false, true, In::BlockComment { depth: 1 }),
            (In::Code, '"', _) => (1, true, false, In::Text { raw_hashes: None }),
            (In::Code, 'r', Some('"' | '#')) if opens_raw_text(&chars, at) => {
                let hashes = hashes_at(&chars, at + 1);
                (hashes + 2, true, false, In::Text { raw_hashes: Some(hashes) })
            }
            (In::Code, '\'', _) => (char_literal(&chars, at), true, false, In::Code),
            (In::Code, ..) => (1, true, false, In::Code),
        };
        for char in &chars[at..(at + length).min(chars.len())] {
            let blank = if *char == '\n' { '\n' } else { ' ' };
            code.push(if is_code { *char } else { blank });
            comments.push(if is_comment { *char } else { blank });
        }
        state = after;
        at += length;
    }
    (code, comments)
}

fn hashes_at(chars: &[char], at: usize) -> usize {
    chars[at..].iter().take_while(|char| **char == '#').count()
}

/// Whether the `r` at `at` opens a raw string: it ends no longer name, save for the prefixes `br` and `cr`.
fn opens_raw_text(chars: &[char], at: usize) -> bool {
    let in_name = |back: usize| at.checked_sub(back).is_some_and(|at| chars[at].is_alphanumeric() || chars[at] == '_');
    let prefixed = in_name(1) && matches!(chars[at - 1], 'b' | 'c') && !in_name(2);
    (!in_name(1) || prefixed) && chars.get(at + 1 + hashes_at(chars, at + 1)) == Some(&'"')
}

/// How many characters the quote at `at` takes: a literal all of its own, a lifetime only the quote.
fn char_literal(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), Some(_)) => {
            let end = chars[at + 3..].iter().position(|char| *char == '\'');
            end.map_or(1, |end| end + 4)
        }
        (Some(_), Some('\'')) => 3,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::{Source, has_word};

    fn code(text: &str) -> String {
        Source::new("lib.rs", text).code
    }

    fn comments(text: &str) -> String {
        Source::new("lib.rs", text).comments.trim().to_owned()
    }

    #[test]
    fn comments_are_no_code_and_strings_are_neither() {
        let text = "let a = \"text // text\"; // comment \"c\"\nlet b;\n";
        assert_eq!(code(text).lines().next().unwrap().trim_end(), "let a = \"            \";");
        assert_eq!(comments(text), "// comment \"c\"");
        assert_eq!(code(text).lines().count(), text.lines().count());
    }

    #[test]
    fn an_escaped_quote_does_not_end_a_string() {
        assert_eq!(code(r#"f("a\"b", c)"#), r#"f("    ", c)"#);
    }

    #[test]
    fn a_raw_string_ends_with_as_many_hashes_as_it_began() {
        assert_eq!(code(r##"f(r#"a"b"#, c)"##), r##"f(r#"   "#, c)"##);
        assert_eq!(code(r#"f(br"a\", c)"#), r#"f(br"  ", c)"#);
    }

    #[test]
    fn a_quote_in_a_character_opens_no_string_and_a_lifetime_closes_none() {
        assert_eq!(code(r#"f::<'a>('"', '\'', "x")"#), r#"f::<'a>('"', '\'', " ")"#);
    }

    #[test]
    fn block_comments_nest() {
        assert_eq!(code("a /* b /* c */ d */ e").replace(' ', ""), "ae");
        assert_eq!(comments("a /* b /* c */ d */ e"), "/* b /* c */ d */");
    }

    #[test]
    fn a_word_is_not_found_inside_another() {
        assert!(has_word("use dashmap::Entry;", "dashmap"));
        assert!(!has_word("use shuttle_dashmap::Entry;", "dashmap"));
        assert!(!has_word("dashmaps", "dashmap"));
    }
}
