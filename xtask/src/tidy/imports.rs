//! Imports between the modules of a crate form no cycle, at any level of its folders.
//!
//! The entries of a folder are its files, its sub-folders with all their content, and its own `mod.rs`. There must be an order
//! of the entries in which each imports only from those below it. So a folder can be read, and moved, without what is above
//! it. Tests are not checked.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, Violation};

/// The path of a module in its crate, empty for the root.
type Module<'a> = Vec<&'a str>;

pub(super) fn check(sources: &[Source<'_>]) -> Vec<Violation> {
    let mut crates: BTreeMap<&str, Vec<&Source<'_>>> = BTreeMap::new();
    for source in sources {
        if let Some(directory) = source.crate_of_src() {
            crates.entry(directory).or_default().push(source);
        }
    }
    crates.values().flat_map(|sources| check_crate(sources)).collect()
}

fn check_crate(sources: &[&Source<'_>]) -> Vec<Violation> {
    let modules: BTreeMap<Module<'_>, &Source<'_>> =
        sources.iter().filter_map(|source| Some((module_of(source.path)?, *source))).collect();
    let imports: Vec<Import<'_>> =
        modules.iter().flat_map(|(module, source)| imports(module, source, &modules)).collect();
    let folders: BTreeSet<&[&str]> =
        modules.keys().flat_map(|module| (0..=module.len()).map(|end| &module[..end])).collect();
    folders.into_iter().flat_map(|folder| check_folder(folder, &imports)).collect()
}

/// Returns the module of a file. `None` for tests, and for a binary beside a library.
fn module_of(path: &str) -> Option<Module<'_>> {
    let (_, inside) = path.split_once("/src/")?;
    let mut module: Module<'_> = inside.strip_suffix(".rs")?.split('/').collect();
    if module.iter().any(|name| *name == "tests" || *name == "bin" || name.ends_with("_tests")) {
        return None;
    }
    if matches!(module.last(), Some(&("mod" | "lib" | "main"))) {
        module.pop();
    }
    Some(module)
}

/// One module's import from another one.
struct Import<'a> {
    from: Module<'a>,
    to: Module<'a>,
    path: &'a str,
    line: usize,
}

fn imports<'a>(
    module: &Module<'a>,
    source: &'a Source<'_>,
    modules: &BTreeMap<Module<'a>, &Source<'_>>,
) -> Vec<Import<'a>> {
    let is_module = |path: &Module<'a>| modules.contains_key(path);
    let paths = Scanner::new(&source.tokens, module).paths(is_module);
    let known = paths.into_iter().filter_map(|(path, line)| {
        let to = (0..=path.len()).rev().map(|end| path[..end].to_vec()).find(|prefix| modules.contains_key(prefix))?;
        (to != *module).then(|| Import { from: module.clone(), to, path: source.path, line })
    });
    known.collect()
}

/// Finds the cycles among the entries of a folder. Its own module is the entry without a name.
fn check_folder(folder: &[&str], imports: &[Import<'_>]) -> Vec<Violation> {
    let entry =
        |module: &Module<'_>| module.strip_prefix(folder).map(|rest| rest.first().map_or("", |name| *name).to_owned());
    let mut edges: BTreeMap<String, BTreeMap<String, &Import<'_>>> = BTreeMap::new();
    for import in imports {
        if let (Some(from), Some(to)) = (entry(&import.from), entry(&import.to))
            && from != to
        {
            edges.entry(from).or_default().entry(to).or_insert(import);
        }
    }
    let mut violations = Vec::new();
    let mut done = BTreeSet::new();
    for start in edges.keys() {
        let Some(cycle) = (!done.contains(start)).then(|| shortest_cycle(start, &edges)).flatten() else { continue };
        let steps = cycle.iter().map(|import| format!("{}:{} imports {}", import.path, import.line, name(&import.to)));
        let message = format!("cut the import cycle: {}", steps.collect::<Vec<_>>().join(", "));
        violations.push(Violation::new(cycle[0].path, cycle[0].line, message));
        done.extend(cycle.iter().filter_map(|import| entry(&import.from)));
    }
    violations
}

fn name(module: &Module<'_>) -> String {
    if module.is_empty() { "the crate's root".to_owned() } else { module.join("::") }
}

/// Returns the imports of a shortest cycle through `start`.
fn shortest_cycle<'a>(
    start: &str,
    edges: &BTreeMap<String, BTreeMap<String, &'a Import<'a>>>,
) -> Option<Vec<&'a Import<'a>>> {
    let mut routes = vec![(start.to_owned(), Vec::new())];
    let mut seen = BTreeSet::new();
    let mut at = 0;
    while let Some((entry, route)) = routes.get(at).cloned() {
        at += 1;
        for (to, import) in edges.get(&entry).into_iter().flatten() {
            let mut route: Vec<&Import<'_>> = route.clone();
            route.push(import);
            if to == start {
                return Some(route);
            }
            if seen.insert(to.clone()) {
                routes.push((to.clone(), route));
            }
        }
    }
    None
}

/// Finds the paths in a source that lead to the crate's own modules.
struct Scanner<'a> {
    tokens: &'a [(String, usize)],
    at: usize,
    /// The module at this place: the file's, or one that is written inside it.
    module: Module<'a>,
    /// For each open brace, whether it is that of a module.
    braces: Vec<bool>,
    found: Vec<(Module<'a>, usize)>,
}

impl<'a> Scanner<'a> {
    fn new(tokens: &'a [(String, usize)], module: &Module<'a>) -> Self {
        Self { tokens, at: 0, module: module.clone(), braces: Vec::new(), found: Vec::new() }
    }

    fn peek(&self, ahead: usize) -> &'a str {
        self.tokens.get(self.at + ahead).map_or("", |(token, _)| token)
    }

    fn is_next(&self, expected: &[&str]) -> bool {
        expected.iter().enumerate().all(|(ahead, token)| self.peek(ahead) == *token)
    }

    fn paths(mut self, is_module: impl Fn(&Module<'a>) -> bool) -> Vec<(Module<'a>, usize)> {
        let mut before = "";
        while self.at < self.tokens.len() {
            let token = self.peek(0);
            if self.is_next(&["#", "[", "cfg", "(", "test", ")", "]"]) {
                self.at += 7;
                self.skip_item();
            } else if token == "mod" && self.peek(2) == "{" {
                self.module.push(self.peek(1));
                self.braces.push(true);
                self.at += 3;
            } else if self.peek(1) != "::" || matches!(before, "::" | "in") {
                match token {
                    "{" => self.braces.push(false),
                    "}" if self.braces.pop() == Some(true) => drop(self.module.pop()),
                    _ => {}
                }
                self.at += 1;
            } else if matches!(token, "crate" | "self" | "super") {
                self.path(Vec::new());
            } else if is_module(&[&self.module[..], &[token]].concat()) {
                self.path(self.module.clone());
            } else {
                self.at += 1;
            }
            before = token;
        }
        self.found
    }

    /// Skips an item, to the semicolon or the closing brace at its end.
    fn skip_item(&mut self) {
        let mut depth = 0_usize;
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            let over = depth == 0 && matches!(self.peek(0), ";" | "}");
            self.at += 1;
            if over {
                return;
            }
        }
    }

    /// Reads a path, or a tree of paths in braces, behind `prefix`.
    fn path(&mut self, mut prefix: Module<'a>) {
        loop {
            let line = self.tokens.get(self.at).map_or(0, |(_, line)| *line);
            match self.peek(0) {
                "crate" => prefix.clear(),
                "self" if prefix.is_empty() => prefix.clone_from(&self.module),
                "self" => {}
                "super" => {
                    if prefix.is_empty() {
                        prefix.clone_from(&self.module);
                    }
                    prefix.pop();
                }
                "{" => {
                    self.at += 1;
                    while !matches!(self.peek(0), "}" | "") {
                        let start = self.at;
                        self.path(prefix.clone());
                        self.at += usize::from(self.peek(0) == "," || self.at == start);
                    }
                    self.at += 1;
                    return;
                }
                name if name.starts_with(|first: char| first.is_alphabetic() || first == '_') => prefix.push(name),
                _ => return self.found.push((prefix, line)),
            }
            self.at += 1;
            if self.peek(0) != "::" {
                self.found.push((prefix, line));
                if self.peek(0) == "as" {
                    self.at += 2;
                }
                return;
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Source, check};

    /// The files in which a cycle is reported for a crate of these files.
    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let paths: Vec<String> = files.iter().map(|(path, _)| format!("crates/a/src/{path}")).collect();
        let sources: Vec<_> =
            paths.iter().zip(files).map(|(path, (_, text))| Source::new(path, text).unwrap()).collect();
        check(&sources).into_iter().map(|violation| violation.message).collect()
    }

    #[test]
    fn imports_that_all_go_down_are_in_order() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\npub use self::a::A;"),
            ("a/mod.rs", "mod deep;\nmod deeper;\npub(crate) use self::deep::A;"),
            ("a/deep.rs", "use super::deeper::C;\nuse crate::b::{self, B};\npub(in crate::a) struct A;"),
            ("a/deeper.rs", "pub(crate) struct C(crate::b::B);"),
            ("b.rs", "pub(crate) struct B;"),
        ];
        assert!(found(&files).is_empty(), "{:?}", found(&files));
    }

    #[test]
    fn two_files_that_import_each_other_are_found_wherever_the_paths_are() {
        let lib = ("lib.rs", "mod a;\nmod b;");
        for there in ["use crate::b::B;", "use super::{c, b::{B as Other, C}};", "fn f() { super::b::f::<u8>() }"] {
            for back in [
                "use crate::{a::A};",
                "use super::a;",
                "type A = Vec<crate::a::A>;",
                "mod x { use super::super::a::A; }",
            ] {
                let [only] = &found(&[lib, ("a.rs", there), ("b.rs", back)])[..] else { panic!("{there} {back}") };
                let expected = "cut the import cycle: crates/a/src/a.rs:1 imports b, crates/a/src/b.rs:1 imports a";
                assert_eq!(only, expected, "{there} {back}");
            }
        }
    }

    #[test]
    fn a_file_that_imports_from_the_module_that_imports_it_is_found() {
        assert_eq!(found(&[("lib.rs", "pub use self::a::A;\nstruct B;"), ("a.rs", "use crate::B;")]).len(), 1);
        for there in ["use self::b::B;", "use b::B;", "fn f() { b::f() }"] {
            assert_eq!(found(&[("lib.rs", ""), ("a/mod.rs", there), ("a/b.rs", "use super::A;")]).len(), 1, "{there}");
        }
    }

    #[test]
    fn two_folders_that_import_from_each_other_are_found_though_no_files_do() {
        let files = [
            ("lib.rs", ""),
            ("a/mod.rs", ""),
            ("a/one.rs", "use crate::b::one::B;"),
            ("a/two.rs", ""),
            ("b/mod.rs", ""),
            ("b/one.rs", ""),
            ("b/two.rs", "use crate::a::two::A;"),
        ];
        assert_eq!(found(&files).len(), 1);
    }

    #[test]
    fn tests_comments_and_strings_are_not_checked() {
        let a = "use crate::b::B;";
        for b in [
            "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n    fn f() {}\n}",
            "#[cfg(test)]\nuse crate::a::A;",
            "const A: &str = \"use crate::a::A;\"; // use crate::a::A;",
        ] {
            assert!(found(&[("lib.rs", ""), ("a.rs", a), ("b.rs", b)]).is_empty(), "{b}");
            let after = format!("{b}\nuse crate::a::A;");
            assert_eq!(found(&[("lib.rs", ""), ("a.rs", a), ("b.rs", &after)]).len(), 1, "{after}");
        }
        assert!(found(&[("lib.rs", ""), ("a.rs", a), ("b.rs", "mod tests;"), ("b/tests.rs", a)]).is_empty());
    }
}
