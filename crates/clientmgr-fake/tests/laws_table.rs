//! `LAWS.md` lists every law once, with its rule and its documentation, and for each law there is a test that breaks it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const TABLE: &str = include_str!("../LAWS.md");
const MACROS: &str = include_str!("../src/laws/macros.rs");

/// The kinds of laws: their sources, the macro that lists them, the heading of their table and the tests that break them.
const KINDS: [(&str, &str, &str, &str); 3] = [
    ("provider.rs", "__provider_laws", "## Laws of a provider", include_str!("laws_can_fail_on_a_provider.rs")),
    ("manager", "__manager_laws", "## Laws of a manager", include_str!("laws_can_fail_on_a_manager.rs")),
    ("bound", "__bound_laws", "## Laws of bound states", include_str!("laws_can_fail_on_bound_states.rs")),
];

/// The laws that are public functions of a source, with their documentation.
fn documented(place: &str) -> BTreeSet<(String, String)> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/laws").join(place);
    let files = match fs::read_dir(&place) {
        Ok(files) => files.map(|file| file.unwrap().path()).collect(),
        Err(_) => vec![place],
    };
    let mut laws = BTreeSet::new();
    for file in files {
        let mut comment = Vec::new();
        for line in fs::read_to_string(file).unwrap().lines() {
            if let Some(text) = line.strip_prefix("/// ") {
                comment.push(text.to_owned());
            } else if let Some(law) = line.strip_prefix("pub async fn ") {
                laws.insert((law.split('<').next().unwrap().to_owned(), comment.join(" ")));
            } else {
                comment.clear();
            }
        }
    }
    laws
}

/// The laws of a macro, in order, with their rules.
fn expanded(name: &str) -> Vec<(String, String)> {
    let body = MACROS.split(&format!("macro_rules! {name} {{")).nth(1).expect("the macro is in this file");
    let (list, _) = body.split_once("};").expect("the macro has an end");
    let pairs = list.lines().filter_map(|line| line.trim().split_once(": "));
    pairs.map(|(law, rule)| (law.to_owned(), rule.to_owned())).collect()
}

/// The cells of the table under a heading.
fn rows(heading: &str) -> Vec<[String; 3]> {
    let section = TABLE.split(heading).nth(1).expect("the table has a heading").split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    let cells = rows.map(|row| row.split(" | ").map(str::to_owned).collect::<Vec<_>>().try_into().unwrap());
    cells.map(|[law, rule, text]: [String; 3]| [law.trim_end_matches('`').to_owned(), rule, text]).collect()
}

#[test]
fn the_table_lists_every_law_with_its_rule_and_its_documentation() {
    for (place, name, heading, _) in KINDS {
        let rows = rows(heading);
        let in_table: Vec<_> = rows.iter().map(|[law, rule, _]| (law.clone(), rule.clone())).collect();
        assert_eq!(in_table, expanded(name), "{heading}, and the list of {name}!");
        let texts: BTreeSet<_> = rows.into_iter().map(|[law, _, text]| (law, text)).collect();
        assert_eq!(texts, documented(place), "{heading}, and the documentation in src/laws/{place}");
    }
}

#[test]
fn every_rule_has_a_law_of_a_manager_and_one_of_bound_states() {
    for (_, name, ..) in &KINDS[1..] {
        let rules: BTreeSet<_> = expanded(name).into_iter().map(|(_, rule)| rule).collect();
        assert_eq!(rules, ["S1", "S2", "S3", "S4", "S5", "S6"].map(str::to_owned).into(), "{name}!");
    }
}

#[test]
fn every_law_is_seen_to_fail() {
    for (place, _, _, tests) in KINDS {
        for (law, _) in documented(place) {
            assert!(tests.contains(&format!(" {law} by ")) || tests.contains(&format!("fn {law}()")), "{law}");
        }
    }
}
