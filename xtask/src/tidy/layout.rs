//! What every crate and the workspace must have.

use super::violation::{Texts, Violation};

pub(super) fn check(texts: &Texts) -> Vec<Violation> {
    let mut violations = Vec::new();
    for manifest in texts.keys() {
        let Some(directory) = manifest.strip_suffix("/Cargo.toml") else { continue };
        let is_member =
            directory == "xtask" || directory.strip_prefix("crates/").is_some_and(|name| !name.contains('/'));
        if is_member && !texts.contains_key(&format!("{directory}/README.md")) {
            violations.push(Violation::new(manifest, 1, "give the crate a README.md: it is its front page"));
        }
    }
    if !texts.get("CHANGELOG.md").is_some_and(|text| text.lines().any(|line| line == "## [Unreleased]")) {
        violations.push(Violation::new("CHANGELOG.md", 1, "keep a section `## [Unreleased]` for what comes next"));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::{Texts, check};

    fn found(texts: &[(&str, &str)]) -> Vec<String> {
        let texts: Texts = texts.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        check(&texts).into_iter().map(|violation| violation.path).collect()
    }

    const CHANGELOG: (&str, &str) = ("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n\n## [0.1.0]\n");

    #[test]
    fn every_crate_has_a_front_page() {
        assert_eq!(found(&[CHANGELOG, ("crates/a/Cargo.toml", "")]), ["crates/a/Cargo.toml"]);
        assert!(found(&[CHANGELOG, ("crates/a/Cargo.toml", ""), ("crates/a/README.md", "")]).is_empty());
        assert!(found(&[CHANGELOG, ("Cargo.toml", ""), ("crates/a/tests/fixture/Cargo.toml", "")]).is_empty());
    }

    #[test]
    fn the_changelog_has_a_place_for_what_comes_next() {
        assert_eq!(found(&[]), ["CHANGELOG.md"]);
        assert_eq!(found(&[("CHANGELOG.md", "# Changelog\n\n## [0.1.0]\n")]), ["CHANGELOG.md"]);
    }
}
