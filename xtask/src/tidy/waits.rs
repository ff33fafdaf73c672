//! Tests wait for events, not for time.
//!
//! A sleep in a test is either too short on a slow machine or too long on all others. On a paused clock it is neither:
//! there it takes no time and its order among other timers is certain.

use super::source::{Source, has_word};
use super::violation::Violation;

pub(super) fn check(source: &Source<'_>) -> Vec<Violation> {
    let mut in_tests = source.path.contains("/tests/");
    let mut paused = false;
    let mut violations = Vec::new();
    for (index, line) in source.code.lines().enumerate() {
        let start = line.trim_start();
        in_tests |= start.starts_with("#[cfg(test)]");
        if start.starts_with("#[") && (start.contains("test]") || start.contains("test(")) {
            // The attribute of the test that follows.
            paused = line.contains("start_paused = true");
        }
        let sleeps = has_word(line, "thread::sleep") || (!paused && has_word(line, "time::sleep"));
        if in_tests && sleeps {
            let message = "wait on an event, or use a paused clock (`start_paused = true`): a test does not sleep";
            violations.push(Violation::new(source.path, index + 1, message));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::{Source, check};

    fn found(path: &str, text: &str) -> Vec<usize> {
        check(&Source::new(path, text)).into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn a_test_does_not_sleep_wherever_it_stands() {
        let text = "#[test]\nfn f() {\n    std::thread::sleep(SECOND);\n}\n";
        assert_eq!(found("a/tests/b.rs", text), [3]);
        assert_eq!(found("a/src/b.rs", &format!("#[cfg(test)]\nmod tests {{\n{text}}}\n")), [5]);
    }

    #[test]
    fn code_that_is_no_test_may_sleep() {
        assert!(found("a/src/b.rs", "async fn delay() { tokio::time::sleep(DELAY).await; }\n").is_empty());
    }

    #[test]
    fn a_sleep_on_a_paused_clock_is_no_wait_and_on_a_running_one_it_is() {
        let test =
            |attribute: &str| format!("{attribute}\nasync fn f() {{\n    tokio::time::sleep(SECOND).await;\n}}\n");
        let (paused, running) = (test("#[tokio::test(start_paused = true)]"), test("#[tokio::test]"));
        assert!(found("a/tests/b.rs", &paused).is_empty());
        assert_eq!(found("a/tests/b.rs", &running), [3]);
        assert_eq!(found("a/tests/b.rs", &format!("{paused}{running}")), [7]);
        let helped = paused.replace("{\n", "{\n    set_up_test();\n");
        assert!(found("a/tests/b.rs", &helped).is_empty(), "a call is no attribute");
    }

    #[test]
    fn a_thread_that_sleeps_knows_no_paused_clock() {
        assert_eq!(
            found("a/tests/b.rs", "#[tokio::test(start_paused = true)]\nasync fn f() { thread::sleep(S) }\n"),
            [2]
        );
    }
}
