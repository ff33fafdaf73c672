//! The check that `docs/requeue-and-watches.md` moves a controller to many clusters in few lines.

const PAGE: &str = include_str!("../../../../../docs/requeue-and-watches.md");

/// How many lines are in `after` and not in `before`, or the other way round: those outside a longest common subsequence.
fn changed(before: &[&str], after: &[&str]) -> (usize, usize) {
    let mut common = vec![vec![0; after.len() + 1]; before.len() + 1];
    for (i, old) in before.iter().enumerate() {
        for (j, new) in after.iter().enumerate() {
            let longest = common[i][j + 1].max(common[i + 1][j]);
            common[i + 1][j + 1] = if old == new { common[i][j] + 1 } else { longest };
        }
    }
    let common = common[before.len()][after.len()];
    (before.len() - common, after.len() - common)
}

#[test]
fn the_page_moves_a_controller_to_many_clusters_in_under_40_changed_lines_either_way() {
    let programs = PAGE.split("```rust,no_run\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let programs: Vec<Vec<_>> = programs.map(|program| program.lines().collect()).collect();
    let [before, by_resource, by_context] = &programs[..] else { panic!("three programs") };
    for (way, after) in [("the Cluster resource", by_resource), ("contexts", by_context)] {
        let (removed, added) = changed(before, after);
        assert!(removed + added < 40, "{way}: {removed} lines removed, {added} added");
    }
}

#[test]
fn a_changed_line_is_one_removed_and_one_added() {
    assert_eq!(changed(&["a", "b", "c"], &["a", "x", "c", "d"]), (1, 2));
}
