//! The macros that expand to one `#[test]` per law.

/// One `#[test]` per law of [`laws::provider`](crate::laws::provider).
///
/// Takes how to make a fresh [`ProviderSetup`](crate::laws::ProviderSetup), which may await, and how to run a future to
/// its end. Put it into a module of its own, since every law becomes a function there.
///
/// ```
/// mod provider {
///     use clientmgr_fake::laws::FakeSetup;
///     clientmgr_fake::provider_laws!(FakeSetup::default(), futures::executor::block_on);
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! provider_laws {
    ($setup:expr, $run:expr $(,)?) => {
        $crate::__one_test_per_law! { provider, $setup, $run;
            an_unknown_cluster_is_not_found
            a_standing_connection_keeps_its_revision
            a_replacement_has_a_revision_that_was_never_used
            a_cluster_that_came_back_has_a_revision_that_was_never_used
            a_later_connection_is_never_of_an_older_revision
            a_call_answers_what_is_current_when_it_completes
            clusters_do_not_share_clients
            a_failing_cluster_tells_why
            a_failing_cluster_disturbs_no_other
            a_recovered_cluster_has_a_client
            a_removed_cluster_is_not_found
            a_dropped_call_changes_nothing
            calls_at_once_agree
        }
    };
}

/// One `#[test]` per law of [`laws::manager`](crate::laws::manager).
///
/// Takes how to make a fresh [`ManagerSetup`](crate::laws::ManagerSetup), which may await, and how to run a future to its
/// end. Put it into a module of its own, since every law becomes a function there.
///
/// ```
/// mod manager {
///     use clientmgr_fake::laws::{FakeSetup, Managed};
///     clientmgr_fake::manager_laws!(Managed::new(FakeSetup::default()), futures::executor::block_on);
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! manager_laws {
    ($setup:expr, $run:expr $(,)?) => {
        $crate::__one_test_per_law! { manager, $setup, $run;
            a_client_is_of_the_connection_that_was_observed
            a_client_is_handed_out_again_while_its_connection_stands
            every_call_asks_the_provider_once
            an_unknown_cluster_is_not_found
            an_error_of_the_provider_is_handed_on
            a_cluster_object_of_another_connection_is_outdated
            a_cluster_object_without_a_revision_is_outdated
            a_client_of_another_connection_needs_a_refresh_first
            an_error_leaves_what_is_held
            a_call_is_decided_by_what_is_current_when_the_provider_answers
            a_call_is_decided_by_what_is_held_when_the_provider_answers
            a_dropped_call_changes_nothing
            a_call_that_was_never_polled_changes_nothing
            an_object_that_never_asked_has_nothing_to_reset
            what_is_held_is_unchanged_while_it_is_observed
            a_replaced_connection_is_a_reset
            a_connection_that_is_no_longer_told_is_a_reset
            an_older_observation_resets_nothing
            a_reset_is_said_until_a_client_was_obtained
            recovery_is_announced
            a_first_connection_is_announced_to_who_asked_too_early
            a_refresh_never_asks_the_provider
            objects_and_clusters_do_not_disturb_each_other
            a_forgotten_object_leaves_no_trace
            forgetting_an_object_keeps_the_others
            a_forgotten_cluster_is_forgotten_for_all_objects
            retaining_clusters_forgets_the_others
            retaining_objects_forgets_the_others
            a_call_whose_object_is_forgotten_leaves_no_trace
            a_call_whose_cluster_is_forgotten_leaves_no_trace
            a_call_on_a_cluster_that_is_not_retained_leaves_no_trace
            a_recreated_object_inherits_nothing
            between_two_resets_all_clients_are_of_one_revision
            a_refresh_makes_the_next_client_succeed
        }
    };
}

/// One `#[test]` per law of [`laws::bound`](crate::laws::bound).
///
/// Takes how to make a fresh [`BoundSetup`](crate::laws::BoundSetup), which may await, and how to run a future to its
/// end. Put it into a module of its own, since every law becomes a function there.
///
/// ```
/// mod bound {
///     use clientmgr_fake::laws::{Bound, FakeSetup};
///     clientmgr_fake::bound_laws!(Bound::new(FakeSetup::default()), futures::executor::block_on);
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! bound_laws {
    ($setup:expr, $run:expr $(,)?) => {
        $crate::__one_test_per_law! { bound, $setup, $run;
            a_standing_state_is_returned_without_asking_the_provider
            an_older_observation_tears_nothing_down
            the_old_state_is_torn_down_before_the_next_is_built
            the_next_is_built_only_when_the_old_has_ended
            a_state_whose_connection_is_gone_is_torn_down
            an_error_of_the_provider_is_handed_on
            a_state_is_built_on_the_connection_that_was_observed
            on_a_cluster_object_of_another_connection_nothing_is_built
            a_build_is_decided_by_what_is_current_when_the_provider_answers
            objects_and_clusters_do_not_disturb_each_other
            one_build_runs_at_a_time
            nobody_waits_for_the_build_of_another
            a_dropped_build_leaves_nothing
            a_call_dropped_while_the_provider_is_asked_leaves_nothing
            who_waited_for_a_build_in_vain_builds_itself
            a_failed_build_leaves_nothing_standing
            forgetting_an_object_tears_down_its_states
            a_forgotten_state_ends_before_the_next_is_built
            retaining_objects_tears_down_the_states_of_the_others
            forgetting_a_cluster_tears_down_the_states_on_it
            retaining_clusters_tears_down_the_states_on_the_others
            a_build_whose_object_is_forgotten_is_torn_down
            a_build_whose_cluster_is_forgotten_is_torn_down
            a_build_on_a_cluster_that_is_not_retained_is_torn_down
            a_discarded_state_is_torn_down_and_built_anew
            dropping_the_map_tears_everything_down
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __one_test_per_law {
    ($laws:ident, $setup:expr, $run:expr; $($law:ident)+) => {$(
        #[test]
        fn $law() {
            ($run)(async { $crate::laws::$laws::$law($setup).await });
        }
    )+};
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// The names of the laws in a source.
    fn laws(source: &str) -> Vec<&str> {
        source.lines().filter_map(|line| line.strip_prefix("pub async fn ")?.split('<').next()).collect()
    }

    #[test]
    fn every_law_is_in_its_macro() {
        let macros = include_str!("macros.rs");
        let of = |name: &str| {
            let body = macros.split(&format!("macro_rules! {name} {{")).nth(1).expect("the macro is in this file");
            body.split("};").next().expect("the macro has an end").split_whitespace().collect::<Vec<_>>()
        };
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/laws");
        for (name, place) in [("provider_laws", "provider.rs"), ("manager_laws", "manager"), ("bound_laws", "bound")] {
            let listed = of(name);
            let place = here.join(place);
            let files = match std::fs::read_dir(&place) {
                Ok(files) => files.map(|file| file.unwrap().path()).collect(),
                Err(_) => vec![place],
            };
            let source: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
            assert!(!laws(&source).is_empty(), "there are laws for {name}!");
            for law in laws(&source) {
                assert!(listed.contains(&law), "{law} is a law, and {name}! does not expand it");
            }
        }
    }
}
