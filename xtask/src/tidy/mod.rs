//! `cargo xtask tidy`: the architecture and the house rules, kept by checks.
//!
//! A check is a pure function from texts to violations, with samples of both kinds as its tests. Only this file reads
//! the disk and asks cargo. What must not live here: anything that the compiler or clippy can tell.

mod dependencies;
mod imports;
mod layout;
mod links;
mod rust;
mod source;
mod violation;
mod waits;
mod words;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use crate::process::{Failure, cargo, root, takes_no_arguments};

use self::source::Source;
use self::violation::{Texts, Violation, has_extension};

pub(crate) fn run(arguments: &[OsString]) -> Result<(), Failure> {
    takes_no_arguments(arguments)?;
    let mut texts = Texts::new();
    read_into(&mut texts, root(), "").map_err(|error| Failure::Invalid(format!("reading the sources: {error}")))?;

    let mut violations = check_texts(&texts, &root().to_string_lossy());
    for rule in dependencies::RULES {
        let tree = cargo().args(dependencies::tree_arguments(rule)).output()?;
        violations.extend(dependencies::check(rule, &tree));
    }
    violations.sort();
    for violation in &violations {
        println!("{violation}");
    }
    if violations.is_empty() {
        println!("tidy: {} files and {} dependency trees are in order", texts.len(), dependencies::RULES.len());
        return Ok(());
    }
    Err(Failure::Found(violations.len()))
}

fn check_texts(texts: &Texts, root: &str) -> Vec<Violation> {
    let mut violations = layout::check(texts);
    violations.extend(links::check(texts));
    let mut sources = Vec::new();
    for (path, text) in texts {
        if has_extension(path, "rs") {
            sources.push(Source::new(path, text));
        } else {
            violations.extend(words::check_text(path, text));
        }
        violations.extend(words::check_paths(path, text, root));
    }
    for source in &sources {
        violations.extend(rust::check(source));
        violations.extend(waits::check(source));
        violations.extend(words::check_comments(source));
    }
    violations.extend(rust::check_guarded(&sources));
    violations.extend(imports::check(&sources));
    violations
}

/// Reads every text below a directory, except what is built, downloaded or kept by git.
fn read_into(texts: &mut Texts, directory: &Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() && !matches!(name.as_str(), ".git" | "target" | "mutants.out" | "mutants.out.old") {
            read_into(texts, &entry.path(), &path)?;
        } else if kind.is_file()
            && name != "Cargo.lock"
            && let Ok(text) = String::from_utf8(fs::read(entry.path())?)
        {
            texts.insert(path, text);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Texts, check_texts};

    /// A workspace that breaks no rule.
    fn tidy_texts() -> Texts {
        [
            ("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n"),
            ("crates/one/Cargo.toml", "[package]\n"),
            ("crates/one/README.md", "# one\n"),
            ("crates/one/src/lib.rs", "#![doc = include_str!(\"../README.md\")]\n"),
        ]
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .into()
    }

    #[test]
    fn a_tidy_workspace_has_no_violations() {
        assert_eq!(check_texts(&tidy_texts(), "/ws"), []);
    }

    #[test]
    fn every_check_is_wired_up() {
        let mut texts = tidy_texts();
        let sample = "#[allow(dead_code)]\nfn f() {}\n// see /ws/notes\n";
        texts.insert("crates/one/src/a.rs".into(), format!("//! A.\n{sample}"));
        texts.insert("crates/one/src/b.rs".into(), concat!("//! B.\n// TO", "DO: all\n").into());
        texts.insert("crates/one/src/c.rs".into(), "//! C.\nuse dashmap::Entry;\n".into());
        texts.insert("crates/one/src/d.rs".into(), "//! D.\nuse dashmap::DashMap;\n".into());
        texts.insert("crates/one/tests/e.rs".into(), "//! E.\nfn f() { thread::sleep(D); }\n".into());
        texts.insert("docs/f.md".into(), concat!("[gone](gone.md)\nFIX", "ME\n").into());
        texts.insert("crates/one/src/g.rs".into(), "//! G.\nuse crate::h::H;\n".into());
        texts.insert("crates/one/src/h.rs".into(), "//! H.\nuse crate::g::G;\n".into());
        texts.insert("crates/two/Cargo.toml".into(), "[package]\n".into());

        let mut found: Vec<_> = check_texts(&texts, "/ws").into_iter().map(|it| (it.path, it.line)).collect();
        found.sort();
        let expected = [
            ("crates/one/src/a.rs", 2),
            ("crates/one/src/a.rs", 4),
            ("crates/one/src/b.rs", 2),
            ("crates/one/src/d.rs", 2),
            ("crates/one/src/g.rs", 2),
            ("crates/one/tests/e.rs", 2),
            ("crates/two/Cargo.toml", 1),
            ("docs/f.md", 1),
            ("docs/f.md", 2),
        ];
        assert_eq!(found, expected.map(|(path, line)| (path.to_owned(), line)));
    }
}
