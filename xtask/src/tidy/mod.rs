//! `cargo xtask tidy`: the invariants of the architecture that neither the compiler nor a standard tool checks.
//!
//! A check is a pure function from texts to violations. Only this file reads files and runs cargo.

mod dependencies;
mod imports;
mod modules;
mod source;

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use anyhow::{Context, Result, ensure};

use crate::process::{cargo, output, root};

use self::source::{Source, Violation};

/// The texts of the workspace, by their paths relative to the root, with slashes.
type Texts = BTreeMap<String, String>;

pub(crate) fn run() -> Result<()> {
    let mut texts = Texts::new();
    read_into(&mut texts, root(), "").context("cannot read the sources")?;
    let mut violations = check(&texts, &root().to_string_lossy());
    for package in dependencies::CRATES {
        let tree = output(cargo().args(dependencies::TREE.split(' ')).args(["--package", package]))?;
        violations.extend(dependencies::check(package, &tree));
    }
    violations.sort();
    for Violation { path, line, message } in &violations {
        println!("{path}:{line}: {message}");
    }
    ensure!(violations.is_empty(), "{} violations", violations.len());
    Ok(())
}

fn check(texts: &Texts, root: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut sources = Vec::new();
    for (path, text) in texts {
        violations.extend(modules::check_text(path, text, root));
        if Path::new(path).extension().is_some_and(|extension| extension == "rs") {
            match Source::new(path, text) {
                Ok(source) => sources.push(source),
                Err(violation) => violations.push(violation),
            }
        }
    }
    violations.extend(sources.iter().flat_map(modules::check));
    violations.extend(imports::check(&sources));
    violations
}

/// Reads every text below a directory, except what is built, downloaded or kept by git.
fn read_into(texts: &mut Texts, directory: &Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            if !matches!(name.as_str(), ".git" | "target" | "mutants.out" | "mutants.out.old") {
                read_into(texts, &entry.path(), &format!("{path}/"))?;
            }
        } else if name != "Cargo.lock"
            && let Ok(text) = String::from_utf8(fs::read(entry.path())?)
        {
            texts.insert(path, text);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn every_check_is_called() {
        let texts = [
            ("crates/one/src/a.rs", concat!("//! A.\n// TO", "DO: all\n")),
            ("crates/one/src/d.rs", "//! D.\nuse crate::e::E;\n"),
            ("crates/one/src/e.rs", "//! E.\nuse crate::d::D;\n"),
            ("crates/one/tests/f.rs", "fn f() {}\n"),
            ("crates/one/tests/g.rs", "//! G.\nfn f( {}\n"),
            ("docs/h.md", "see /ws/notes\n"),
        ];
        let texts = texts.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
        let mut found: Vec<_> = check(&texts, "/ws").into_iter().map(|it| format!("{}:{}", it.path, it.line)).collect();
        found.sort();
        let expected = ["src/a.rs:2", "src/d.rs:2", "tests/f.rs:1", "tests/g.rs:2"];
        let expected = expected.map(|place| format!("crates/one/{place}"));
        assert_eq!(found, [&expected[..], &["docs/h.md:1".to_owned()]].concat());
    }
}
