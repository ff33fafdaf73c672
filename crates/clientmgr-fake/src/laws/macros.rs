//! The macros that expand to one `#[test]` for each law, and the rule that each law holds.

/// Expands to one `#[test]` for each law of a provider.
///
/// Takes a fresh [`ProviderSetup`](crate::laws::ProviderSetup), an expression that may await, and a function that runs a
/// future to its end. Each law becomes a function, so invoke the macro in a module of its own.
///
/// `skip` names laws that the provider does not obey, each with the reason: their tests are shown as ignored. `deadline`
/// is the time that a law may take, one minute if not given.
///
/// # Examples
///
/// ```
/// mod provider {
///     use std::time::Duration;
///     use clientmgr_fake::laws::FakeSetup;
///
///     clientmgr_fake::provider_laws!(
///         FakeSetup::default(),
///         futures::executor::block_on,
///         skip = [concurrent_calls_agree = "calls are routed to replicas, which may differ for a moment"],
///         deadline = Duration::from_secs(10),
///     );
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! provider_laws {
    ($setup:expr, $run:expr $(, skip = [$($skip:tt)*])? $(, deadline = $deadline:expr)? $(,)?) => {
        $crate::__provider_laws! { $setup, $run, [$($($skip)*)?], [$($deadline)?] }
    };
}

/// Expands to one `#[test]` for each law of a [`ClientManager`](clientmgr_core::ClientManager), over a provider of your
/// own.
///
/// Takes what [`provider_laws!`](crate::provider_laws) takes. The provider must be [`Clone`].
///
/// # Examples
///
/// ```
/// mod manager {
///     use clientmgr_fake::laws::FakeSetup;
///     clientmgr_fake::manager_laws!(FakeSetup::default(), futures::executor::block_on);
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! manager_laws {
    ($setup:expr, $run:expr $(, skip = [$($skip:tt)*])? $(, deadline = $deadline:expr)? $(,)?) => {
        $crate::__manager_laws! {
            $crate::laws::unstable::Managed::new($setup), $run, [$($($skip)*)?], [$($deadline)?]
        }
    };
}

/// Expands to one `#[test]` for each law of [`BoundStates`](clientmgr_core::BoundStates), over a provider of your own.
///
/// Takes what [`provider_laws!`](crate::provider_laws) takes. The provider must be [`Clone`].
///
/// # Examples
///
/// ```
/// mod bound {
///     use clientmgr_fake::laws::FakeSetup;
///     clientmgr_fake::bound_laws!(FakeSetup::default(), futures::executor::block_on);
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! bound_laws {
    ($setup:expr, $run:expr $(, skip = [$($skip:tt)*])? $(, deadline = $deadline:expr)? $(,)?) => {
        $crate::__bound_laws! {
            $crate::laws::unstable::Bound::new($setup), $run, [$($($skip)*)?], [$($deadline)?]
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __provider_laws {
    ($($input:tt)*) => {
        $crate::__one_test_per_law! { ($) provider, $($input)*;
            an_unknown_cluster_is_not_found: S2
            an_unchanged_connection_keeps_its_revision: S3
            a_replacement_has_a_new_revision: S1
            a_cluster_added_again_has_a_new_revision: S1
            a_later_connection_never_has_an_older_revision: S3
            a_call_returns_the_connection_that_is_current_when_it_completes: S2
            clusters_do_not_share_clients: S2
            a_failing_cluster_has_an_error_with_a_source: S3
            a_failing_cluster_does_not_affect_others: S3
            a_recovered_cluster_has_a_client: S3
            a_removed_cluster_is_not_found: S2
            a_dropped_call_changes_nothing: S5
            concurrent_calls_agree: S2
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __manager_laws {
    ($($input:tt)*) => {
        $crate::__one_test_per_law! { ($) manager, $($input)*;
            a_client_uses_the_observed_connection: S2
            a_client_is_returned_again_while_its_connection_is_current: S3
            every_call_asks_the_provider_once: S2
            an_unknown_cluster_is_not_found: S2
            a_provider_error_is_passed_on: S3
            a_cluster_object_of_another_connection_is_outdated: S2
            a_cluster_object_without_a_revision_is_outdated: S2
            a_client_of_another_connection_needs_a_refresh_first: S1
            an_error_keeps_the_held_client: S4
            a_call_is_decided_by_what_is_current_when_the_provider_answers: S2
            a_call_is_decided_by_what_is_held_when_the_provider_answers: S1
            a_dropped_call_changes_nothing: S5
            a_call_that_was_never_polled_changes_nothing: S5
            an_object_without_requests_has_nothing_to_reset: S4
            the_held_client_is_unchanged_while_it_is_observed: S4
            a_replaced_connection_is_a_reset: S4
            a_missing_revision_is_a_reset: S4
            an_older_observation_resets_nothing: S4
            a_reset_is_repeated_until_a_client_is_obtained: S4
            recovery_is_announced: S4
            a_first_connection_is_announced_after_an_early_request: S4
            a_refresh_never_asks_the_provider: S4
            objects_and_clusters_are_independent: S1
            a_forgotten_object_leaves_no_trace: S6
            forgetting_an_object_keeps_the_others: S6
            a_forgotten_cluster_is_forgotten_for_all_objects: S6
            retaining_clusters_forgets_the_others: S6
            retaining_objects_forgets_the_others: S6
            a_call_whose_object_is_forgotten_leaves_no_trace: S6
            a_call_whose_cluster_is_forgotten_leaves_no_trace: S6
            a_call_on_a_cluster_that_is_not_retained_leaves_no_trace: S6
            a_recreated_object_inherits_nothing: S6
            between_two_resets_all_clients_are_of_one_revision: S1
            a_refresh_makes_the_next_client_succeed: S3
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __bound_laws {
    ($($input:tt)*) => {
        $crate::__one_test_per_law! { ($) bound, $($input)*;
            a_current_state_is_returned_without_asking_the_provider: S4
            an_older_observation_tears_nothing_down: S4
            the_old_state_is_torn_down_before_the_next_is_built: S1
            the_next_state_is_built_after_the_old_one_has_ended: S1
            a_state_whose_connection_is_gone_is_torn_down: S4
            a_provider_error_is_passed_on: S3
            a_state_is_built_on_the_observed_connection: S2
            an_outdated_cluster_object_builds_nothing: S2
            a_build_is_decided_by_what_is_current_when_the_provider_answers: S2
            objects_and_clusters_are_independent: S1
            one_build_runs_at_a_time: S1
            a_hanging_build_delays_no_other: S3
            a_dropped_build_leaves_nothing: S5
            a_call_dropped_while_the_provider_is_asked_leaves_nothing: S5
            a_call_that_waited_for_a_dropped_build_builds: S3
            a_failed_build_leaves_no_state: S3
            forgetting_an_object_tears_down_its_states: S6
            a_forgotten_state_ends_before_the_next_is_built: S1
            retaining_objects_tears_down_the_states_of_the_others: S6
            forgetting_a_cluster_tears_down_the_states_on_it: S6
            retaining_clusters_tears_down_the_states_on_the_others: S6
            a_build_whose_object_is_forgotten_is_torn_down: S6
            a_build_whose_cluster_is_forgotten_is_torn_down: S6
            a_build_on_a_cluster_that_is_not_retained_is_torn_down: S6
            a_discarded_state_is_torn_down_and_built_again: S3
            dropping_the_map_tears_down_all_states: S6
        }
    };
}

/// The tests of laws that are skipped, then those of all others. A macro cannot compare names, so it defines one that
/// matches those of the skipped laws. `$d` is a `$` for it.
#[doc(hidden)]
#[macro_export]
macro_rules! __one_test_per_law {
    (
        ($d:tt) $laws:ident, $setup:expr, $run:expr, [$($skipped:ident = $reason:literal),* $(,)?], [$($deadline:expr)?];
        $($law:ident: $rule:ident)+
    ) => {
        $(
            #[test]
            #[ignore = $reason]
            fn $skipped() {
                ($run)(async { $crate::laws::unstable::$laws::$skipped($setup).await });
            }
        )*

        macro_rules! __test_unless_skipped {
            $(($skipped $d rule:ident) => {};)*
            ($d law:ident $d rule:ident) => {
                #[test]
                fn $d law() {
                    let deadline = [$($deadline,)? $crate::laws::unstable::DEADLINE][0];
                    $crate::laws::unstable::run(stringify!($d law), stringify!($d rule), deadline, || {
                        ($run)(async { $crate::laws::unstable::$laws::$d law($setup).await });
                    });
                }
            };
        }

        $(__test_unless_skipped! { $law $rule })+
    };
}
