//! What must not be written anywhere: notes of work left over, and places that exist on one machine only.

use super::source::{Source, has_word, lines_with};
use super::violation::Violation;

/// Put together so that this file does not break its own rule.
const LEFT_OVER: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
const SOMEBODYS_PLACES: [&str; 4] =
    [concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/ro", "ot/"), concat!(r"C:\Us", r"ers\")];

pub(super) fn check_comments(source: &Source<'_>) -> Vec<Violation> {
    check_text(source.path, &source.comments)
}

pub(super) fn check_text(path: &str, text: &str) -> Vec<Violation> {
    lines_with(text, |line| LEFT_OVER.iter().any(|word| has_word(line, word)))
        .map(|line| {
            Violation::new(path, line, "do it now, or write an issue: the tree keeps no notes of work left over")
        })
        .collect()
}

/// `root` is where the workspace lies on this machine.
pub(super) fn check_paths(path: &str, text: &str, root: &str) -> Vec<Violation> {
    let of_one_machine = |line: &str| SOMEBODYS_PLACES.iter().chain([&root]).any(|place| has_path(line, place));
    lines_with(text, of_one_machine)
        .map(|line| Violation::new(path, line, "use a relative path: this one exists on one machine only"))
        .collect()
}

/// Whether `line` contains a path that starts with `place`. In the middle of a longer path or of an address it is
/// another place.
fn has_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + place.len()..].chars().next();
        let starts =
            !before.is_some_and(|char| char.is_alphanumeric() || matches!(char, '.' | '_' | '-' | '~' | '}' | '*'));
        let ends = place.ends_with(['/', '\\'])
            || !after.is_some_and(|char| char.is_alphanumeric() || matches!(char, '_' | '-'));
        starts && ends
    })
}

#[cfg(test)]
mod tests {
    use super::{LEFT_OVER, SOMEBODYS_PLACES, Source, check_comments, check_paths, check_text};

    #[test]
    fn work_left_over_is_found_in_comments_and_texts_and_not_in_strings() {
        for word in LEFT_OVER {
            assert_eq!(check_text("a.md", &format!("Fine.\n\n{word}: more\n"))[0].line, 3);
            assert_eq!(check_comments(&Source::new("a.rs", &format!("f(); // {word}\n"))).len(), 1);
            assert!(check_comments(&Source::new("a.rs", &format!("f(\"{word}\"); // fine\n"))).is_empty());
            assert!(check_text("a.md", &format!("{word}S")).is_empty(), "another word");
        }
    }

    #[test]
    fn places_of_one_machine_are_found() {
        for place in SOMEBODYS_PLACES {
            assert_eq!(check_paths("a.md", &format!("see {place}me/notes"), "/ws").len(), 1, "{place}");
        }
        assert_eq!(check_paths("a.md", "in /ws/target", "/ws").len(), 1);
        assert_eq!(check_paths("a.md", "in /ws", "/ws").len(), 1);
    }

    #[test]
    fn a_relative_path_or_an_address_is_no_place_of_one_machine() {
        for text in ["crates/ws/src", "../ws/a", "https://example.com/ws/a", "/wsx", "/ws-2"] {
            assert!(check_paths("a.md", text, "/ws").is_empty(), "{text}");
        }
    }
}
