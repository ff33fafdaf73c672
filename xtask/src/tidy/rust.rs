//! Rules on single Rust modules, and on where the sharded maps are.

use std::collections::BTreeMap;

use super::source::{Source, has_word, lines_with};
use super::violation::Violation;

/// Longer, and a module holds more than one idea.
const LONGEST_MODULE: usize = 500;

pub(super) fn check(source: &Source<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut report = |line: usize, message: &str| violations.push(Violation::new(source.path, line, message));

    if !opens_with_documentation(source) {
        report(1, "open the module with `//!`: what lives here, what must not");
    }
    let lines = source.text.lines().count();
    if lines > LONGEST_MODULE {
        report(LONGEST_MODULE + 1, &format!("{lines} lines: split the module by idea, {LONGEST_MODULE} lines at most"));
    }
    for line in lines_with(&source.code, |line| squeezed(line).contains("[allow(")) {
        report(line, "mend it, or say `#[expect(lint, reason = \"…\")]`, which ends with its reason");
    }
    for line in lines_with(&source.code, |line| has_word(line, "todo!") || has_word(line, "unimplemented!")) {
        report(line, "write it, or leave the function out");
    }
    for line in lines_with(&source.code, |line| squeezed(line).contains("#[ignore")) {
        report(line, "make the test run, or delete it");
    }
    violations
}

/// One file of a crate uses each of these, so that its guards are easily seen not to leave it.
const GUARDED: [&str; 2] = ["dashmap", "ShardedLock"];

pub(super) fn check_guarded(sources: &[Source<'_>]) -> Vec<Violation> {
    GUARDED.into_iter().flat_map(|guarded| check_users(sources, guarded)).collect()
}

fn check_users(sources: &[Source<'_>], guarded: &str) -> Vec<Violation> {
    let mut by_crate: BTreeMap<&str, Vec<(&str, usize)>> = BTreeMap::new();
    for source in sources {
        let first = lines_with(&source.code, |line| has_word(line, guarded)).next();
        if let (Some(directory), Some(line)) = (source.crate_of_src(), first) {
            by_crate.entry(directory).or_default().push((source.path, line));
        }
    }
    let surplus = by_crate.values().flat_map(|users| {
        let [(first, _), rest @ ..] = users.as_slice() else { return Vec::new() };
        let message = format!("use what {first} offers: one file of a crate imports {guarded}");
        rest.iter().map(|(path, line)| Violation::new(*path, *line, message.clone())).collect()
    });
    surplus.collect()
}

fn opens_with_documentation(source: &Source<'_>) -> bool {
    let first = source.text.lines().next().unwrap_or_default();
    let front_page = source.path.ends_with("/lib.rs") && first.starts_with("#![doc = include_str!(");
    first.starts_with("//! ") || front_page
}

fn squeezed(line: &str) -> String {
    line.chars().filter(|char| !char.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Source, check, check_guarded};

    /// The lines at which a module with this text breaks a rule.
    fn found(path: &str, text: &str) -> Vec<usize> {
        check(&Source::new(path, text)).into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn a_module_opens_with_its_documentation() {
        assert!(found("a/src/b.rs", "//! What lives here.\n").is_empty());
        assert_eq!(found("a/src/b.rs", "use std::fmt;\n"), [1]);
        assert_eq!(found("a/src/b.rs", ""), [1]);
        assert_eq!(found("a/src/b.rs", "// Not documentation.\n"), [1]);
    }

    #[test]
    fn only_the_root_of_a_crate_may_open_with_its_front_page() {
        let front_page = "#![doc = include_str!(\"../README.md\")]\n";
        assert!(found("a/src/lib.rs", front_page).is_empty());
        assert_eq!(found("a/src/b.rs", front_page), [1]);
    }

    #[test]
    fn a_module_has_at_most_500_lines() {
        let of = |lines: usize| format!("//! Long.\n{}", "\n".repeat(lines - 1));
        assert!(found("a/src/b.rs", &of(500)).is_empty());
        assert_eq!(found("a/src/b.rs", &of(501)), [501]);
    }

    #[test]
    fn a_lint_is_expected_with_a_reason_and_never_allowed() {
        assert_eq!(found("a/src/b.rs", "//! B.\n#[allow(dead_code)]\n#![allow(unused)]\n"), [2, 3]);
        assert_eq!(found("a/src/b.rs", "//! B.\n#[ allow (dead_code)]\n"), [2]);
        assert!(found("a/src/b.rs", "//! B.\n#[expect(dead_code, reason = \"used on Windows\")]\n").is_empty());
    }

    #[test]
    fn nothing_is_left_for_later() {
        assert_eq!(found("a/src/b.rs", "//! B.\nfn f() { todo!() }\nfn g() { unimplemented!() }\n"), [2, 3]);
        assert_eq!(found("a/src/b.rs", "//! B.\n#[ignore]\n#[ignore = \"slow\"]\n"), [2, 3]);
    }

    #[test]
    fn what_stands_in_a_string_or_a_comment_breaks_no_rule() {
        assert!(
            found("a/src/b.rs", "//! No `#[allow(…)]`, no `todo!()`.\nconst A: &str = \"#[ignore]\";\n").is_empty()
        );
    }

    #[test]
    fn one_file_of_a_crate_uses_dashmap_and_one_a_sharded_lock() {
        let sources = [
            Source::new("crates/a/src/map.rs", "use dashmap::DashMap;"),
            Source::new("crates/a/src/other.rs", "\nlet map = dashmap::DashMap::new();"),
            Source::new("crates/a/src/shuttle.rs", "use shuttle_dashmap::DashMap; // not dashmap"),
            Source::new("crates/a/benches/floor.rs", "use dashmap::DashMap;"),
            Source::new("crates/b/src/map.rs", "use dashmap::DashMap;"),
            Source::new("crates/b/src/shared.rs", "use crossbeam_utils::sync::ShardedLock;"),
            Source::new("crates/b/src/late.rs", "fn f(lock: &ShardedLock<u8>) {}"),
        ];
        let violations = check_guarded(&sources);
        let found: Vec<_> = violations.iter().map(|it| (it.path.as_str(), it.line)).collect();
        assert_eq!(found, [("crates/a/src/other.rs", 2), ("crates/b/src/late.rs", 1)]);
        assert!(violations[0].message.contains("crates/a/src/map.rs"));
    }
}
