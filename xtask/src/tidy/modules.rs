//! Rules on single files.

use super::source::{Source, Violation};

/// A longer module has more than one idea.
const LONGEST_MODULE: usize = 500;
/// What core must not use: it spawns nothing, does no I/O and has no timer.
const ABSENT_IN_CORE: [&[&str]; 4] =
    [&["thread", "::", "spawn"], &["std", "::", "fs"], &["std", "::", "net"], &["Instant", "::", "now"]];
/// Put together, so that this file does not break its own rule.
const LEFT_OVER: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

pub(super) fn check(source: &Source<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut report = |line: usize, message: &str| violations.push(Violation::new(source.path, line, message));
    let first = source.text.lines().next().unwrap_or_default();
    let front_page = source.path.ends_with("/lib.rs") && first.starts_with("#![doc = include_str!(");
    if !first.starts_with("//! ") && !front_page {
        report(1, "open the module with `//!`: what is in it");
    }
    if source.text.lines().count() > LONGEST_MODULE {
        report(LONGEST_MODULE + 1, "split the module by idea: 500 lines at most");
    }
    for line in source.find(&["#", "[", "ignore"]) {
        // The laws' macros show a skipped law of a user as ignored.
        if !source.text.lines().nth(line - 1).is_some_and(|line| line.contains("$reason")) {
            report(line, "make the test run, or delete it");
        }
    }
    for line in sleeps(source) {
        report(line, "wait for an event, or pause the clock (`start_paused = true`): a test does not sleep");
    }
    for line in ABSENT_IN_CORE.iter().flat_map(|tokens| source.find(tokens)) {
        if source.crate_of_src() == Some("crates/clientmgr-core") {
            report(line, "leave it to the caller: core spawns nothing, does no I/O and has no timer");
        }
    }
    violations
}

/// Returns the lines of tests that sleep while the clock runs. Clippy refuses a sleep of a thread.
fn sleeps(source: &Source<'_>) -> Vec<usize> {
    let mut tests_from = if source.path.contains("/tests/") { 0 } else { usize::MAX };
    tests_from = tests_from.min(source.find(&["#", "[", "cfg", "(", "test", ")"]).next().unwrap_or(usize::MAX));
    let attributes: Vec<usize> = source.find(&["test", "]"]).chain(source.find(&["test", "("])).collect();
    let paused: Vec<usize> = source.find(&["start_paused", "=", "true"]).collect();
    let runs =
        |line: usize| attributes.iter().filter(|test| **test < line).max().is_none_or(|test| !paused.contains(test));
    source.find(&["time", "::", "sleep"]).filter(|line| *line >= tests_from && runs(*line)).collect()
}

/// Finds notes of work left over, and the path of the workspace on this machine.
pub(super) fn check_text(path: &str, text: &str, root: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.split(|char: char| !char.is_alphanumeric()).any(|word| LEFT_OVER.contains(&word)) {
            violations.push(Violation::new(path, index + 1, "do it now, or open an issue"));
        }
        if line.contains(root) {
            violations.push(Violation::new(path, index + 1, "use a relative path: this one exists on one machine"));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::{LEFT_OVER, Source, check, check_text};

    /// The lines at which a module with this text breaks a rule.
    fn found(path: &str, text: &str) -> Vec<usize> {
        check(&Source::new(path, text).unwrap()).into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn a_module_opens_with_its_documentation_and_has_at_most_500_lines() {
        assert_eq!(found("a/src/b.rs", "use std::fmt;\n"), [1]);
        assert_eq!(found("a/src/b.rs", "#![doc = include_str!(\"../README.md\")]\n"), [1]);
        assert!(found("a/src/lib.rs", "#![doc = include_str!(\"../README.md\")]\n").is_empty());
        let of = |lines: usize| format!("//! Long.\n{}", "\n".repeat(lines - 1));
        assert!(found("a/src/b.rs", &of(500)).is_empty());
        assert_eq!(found("a/src/b.rs", &of(501)), [501]);
    }

    #[test]
    fn a_test_is_not_ignored_and_does_not_sleep_on_a_running_clock() {
        let sleep = |attribute: &str| format!("//! A.\n{attribute}\nasync fn f() {{ time::sleep(SECOND).await }}\n");
        assert_eq!(found("a/tests/b.rs", "//! B.\n#[ignore = \"slow\"]\nfn f() {}\n"), [2]);
        assert_eq!(found("a/tests/b.rs", &sleep("#[tokio::test]")), [3]);
        assert_eq!(found("a/src/b.rs", &sleep("#[cfg(test)]")), [3]);
        assert!(found("a/tests/b.rs", &sleep("#[tokio::test(start_paused = true)]")).is_empty());
        assert!(found("a/src/b.rs", &sleep("")).is_empty());
    }

    #[test]
    fn core_spawns_nothing_and_does_no_io() {
        let text = "//! A.\nuse std::fs;\nfn f() { std::thread::spawn(g); }\n";
        assert_eq!(found("crates/clientmgr-core/src/a.rs", text), [3, 2]);
        assert!(found("crates/a/src/a.rs", text).is_empty());
    }

    #[test]
    fn work_left_over_and_paths_of_this_machine_are_found() {
        assert_eq!(check_text("a.md", &format!("Fine.\n{}: more\nsee /ws/a", LEFT_OVER[0]), "/ws").len(), 2);
        assert!(check_text("a.md", &format!("{}S in docs", LEFT_OVER[0]), "/ws").is_empty());
    }
}
