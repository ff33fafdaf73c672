//! Links between the Markdown files: the file must be there, and the heading in it.
//!
//! Links to other sites are not followed: they break by themselves, and a check needs no network. Links to Rust items,
//! which the front pages of crates have, are rustdoc's to check.

use std::collections::BTreeSet;

use super::violation::{Texts, Violation, has_extension};

pub(super) fn check(texts: &Texts) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, text) in texts.iter().filter(|(path, _)| has_extension(path, "md")) {
        for (line, target) in links(text) {
            if let Some(message) = broken(texts, path, target) {
                violations.push(Violation::new(path, line, message));
            }
        }
    }
    violations
}

/// What is wrong with a link in the file `from`, if anything.
fn broken(texts: &Texts, from: &str, target: &str) -> Option<String> {
    if !is_file_link(target) {
        return None;
    }
    let (file, heading) = target.split_once('#').map_or((target, None), |(file, heading)| (file, Some(heading)));
    let path = if file.is_empty() { from.to_owned() } else { resolve(from, file) };
    let Some(text) = texts.get(&path) else {
        let is_directory =
            texts.keys().any(|known| known.strip_prefix(&path).is_some_and(|rest| rest.starts_with('/')));
        return (!is_directory).then(|| format!("mend the link to {target}: there is no {path}"));
    };
    let heading = heading.filter(|_| has_extension(&path, "md"))?;
    (!anchors(text).contains(heading)).then(|| format!("mend the link to {target}: {path} has no such heading"))
}

/// Whether this is a link to a file here: neither an address nor the path of a Rust item.
fn is_file_link(target: &str) -> bool {
    let is_address = target.contains("://") || target.starts_with("mailto:");
    !is_address && !target.contains("::") && target.contains(['/', '.', '#']) && !target.contains('(')
}

/// The path that `link` means in the file `from`. Both are relative to the root.
fn resolve(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The targets of the links in a text, with their lines: `[a](target)`, `[a]: target`.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    for (line, content) in prose(text) {
        if let Some((label, target)) = content.trim_start().split_once("]: ")
            && label.starts_with('[')
        {
            links.extend(first_word(target).map(|target| (line, target)));
        }
        for (at, opening) in content.match_indices("](") {
            let in_code = content[..at].matches('`').count() % 2 == 1;
            let rest = &content[at + opening.len()..];
            if let (false, Some(end)) = (in_code, rest.find(')')) {
                links.extend(first_word(&rest[..end]).map(|target| (line, target)));
            }
        }
    }
    links
}

/// A target without its title and angle brackets.
fn first_word(target: &str) -> Option<&str> {
    let word = target.split_whitespace().next()?;
    Some(word.trim_start_matches('<').trim_end_matches('>'))
}

/// The anchors of the headings, as the forges make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for (_, line) in prose(text) {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let anchor: String = title
            .trim()
            .to_lowercase()
            .chars()
            .filter(|char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '_'))
            .map(|char| if char == ' ' { '-' } else { char })
            .collect();
        let mut unique = anchor.clone();
        for count in 1.. {
            if anchors.insert(unique) {
                break;
            }
            unique = format!("{anchor}-{count}");
        }
    }
    anchors
}

/// The lines outside of code blocks, counted from one.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let start = line.trim_start();
        let marker = ["```", "~~~"].into_iter().find(|marker| start.starts_with(marker));
        match (fence, marker) {
            (None, None) => Some((index + 1, line)),
            (None, Some(marker)) => {
                fence = Some(marker);
                None
            }
            (Some(open), marker) => {
                if marker == Some(open) {
                    fence = None;
                }
                None
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{Texts, check, resolve};

    /// The lines of `docs/a.md` with a broken link, beside `docs/b.md` with two headings and a crate.
    fn found(text: &str) -> Vec<usize> {
        let texts: Texts = [
            ("docs/a.md", text),
            ("docs/b.md", "# The title\n\n## S1–S6, what holds\n\n## Twice\n\n## Twice\n"),
            ("crates/one/src/lib.rs", ""),
            ("LICENSE", ""),
        ]
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .into();
        check(&texts).into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn a_link_to_a_file_or_a_directory_that_is_there_is_in_order() {
        assert!(
            found("[b](b.md) and [lib](../crates/one/src/lib.rs)\n[one](../crates/one) [l](../LICENSE)").is_empty()
        );
    }

    #[test]
    fn a_link_to_nothing_is_broken_wherever_it_stands_on_the_line() {
        assert_eq!(found("[b](b.md), [c](c.md)\n\n[d]: d.md \"D\"\n[e](<e.md>)"), [1, 3, 4]);
        assert_eq!(found("[out](../../elsewhere/a.md)"), [1]);
    }

    #[test]
    fn the_heading_must_be_there_too() {
        assert!(found("[t](b.md#the-title) [s](b.md#s1s6-what-holds) [2](b.md#twice-1)").is_empty());
        assert!(found("# Here\n\n[here](#here)").is_empty());
        assert_eq!(found("[t](b.md#the-titel)\n[here](#here)"), [1, 2]);
    }

    #[test]
    fn other_sites_rust_items_and_code_are_left_alone() {
        assert!(found("[a](https://example.com/c.md) [m](mailto:a@example.com)").is_empty());
        assert!(found("[a](crate::Item) [b](ClientError::NotFound) [c](ClientManager)").is_empty());
        assert!(found("`[a](c.md)`\n```md\n[a](c.md)\n```\n~~~\n```\n[a](c.md)\n~~~").is_empty());
    }

    #[test]
    fn a_link_is_relative_to_the_file_it_stands_in() {
        assert_eq!(resolve("docs/a.md", "./decisions/../b.md"), "docs/b.md");
        assert_eq!(resolve("README.md", "docs/b.md"), "docs/b.md");
        assert_eq!(resolve("README.md", "../x.md"), "../x.md");
    }
}
