//! The check that `docs/writing-a-controller.md` quotes what runs.

const PAGE: &str = include_str!("../../../docs/writing-a-controller.md");
const SOURCES: [&str; 7] = [
    include_str!("writing_a_controller.rs"),
    include_str!("greetings/binary.rs"),
    include_str!("greetings/cluster.rs"),
    include_str!("greetings/controller.rs"),
    include_str!("greetings/greeting.rs"),
    include_str!("greetings/member.rs"),
    include_str!("greetings/status.rs"),
];

/// The blocks of code in the page that are of this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let opening = format!("```{language}\n");
    let blocks = PAGE.split(&opening).skip(1);
    blocks.map(|rest| rest.split_once("```").expect("a block of code ends").0).collect()
}

/// Whether these lines stand in the text one after the other, however far they are moved in.
fn stands_in(block: &str, text: &str) -> bool {
    let block: Vec<_> = block.lines().map(str::trim).collect();
    let text: Vec<_> = text.lines().map(str::trim).collect();
    text.windows(block.len()).any(|window| window == block)
}

#[test]
fn every_snippet_of_the_page_is_code_that_runs() {
    let snippets = blocks("rust");
    assert!(snippets.len() >= 10, "{} snippets", snippets.len());
    for snippet in snippets {
        assert!(SOURCES.iter().any(|source| stands_in(snippet, source)), "not in a source:\n{snippet}");
    }
}

#[test]
fn the_page_asks_for_the_present_versions() {
    let workspace = include_str!("../../../Cargo.toml");
    let [dependencies] = &blocks("toml")[..] else { panic!("one list of dependencies") };
    for asked in ["kube = { version = \"5\"", "k8s-openapi = { version = \"0.29\""] {
        assert!(dependencies.contains(asked) && workspace.contains(asked), "{asked}");
    }
    assert!(dependencies.contains("schemars = \"1\"") && workspace.contains("schemars = \"1."));
}
