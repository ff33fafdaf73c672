//! Every order of events up to a bound, and long random ones with random times.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use foldhash::fast::RandomState;
use proptest::prelude::*;

use super::exploration::{Budget, Luck, World};
use crate::config::Naming;

#[test]
fn in_every_order_of_events_one_handle_is_open_and_the_member_ends_connected() {
    let depth = if std::env::var("NEXTEST_PROFILE").as_deref() == Ok("nightly") { 8 } else { 6 };
    let mut seen = HashSet::<_, RandomState>::default();
    let mut queue = VecDeque::from([(World::new(Naming::Mint), 0), (World::new(Naming::AdoptOnly), 0)]);
    while let Some((world, steps)) = queue.pop_front() {
        world.clone().ends_well();
        if steps == depth {
            continue;
        }
        for action in world.actions() {
            let mut next = world.clone();
            next.act(action);
            if seen.insert(next.clone()) {
                queue.push_back((next, steps + 1));
            }
        }
    }
    assert!(seen.len() > 10_000, "only {} states were explored", seen.len());
}

proptest! {
    #[test]
    fn in_long_random_orders_of_events_and_times_the_same_holds(
        adopts in any::<bool>(),
        steps in prop::collection::vec((any::<prop::sample::Index>(), 0_u32..1_000, 0_u64..100_000, any::<[bool; 3]>()), 1..120),
    ) {
        let naming = if adopts { Naming::AdoptOnly } else { Naming::Mint };
        let mut world = World::with(naming, Budget { faults: 40, requests: 40, changes: 30, removals: 1 });
        for (choice, jitter, millis, [expires, is_same, sleeps]) in steps {
            let life = expires.then(|| Duration::from_millis(millis));
            world.luck = Luck { jitter, life, is_same };
            if sleeps {
                world.sleep(Duration::from_millis(millis));
            }
            let actions = world.actions();
            // A removal ends the run: one in forty.
            let actions: Vec<_> = actions.into_iter().filter(|it| !it.is_removal() || jitter < 25).collect();
            if !actions.is_empty() {
                world.act(*choice.get(&actions));
            }
        }
        world.luck = Luck::default();
        world.ends_well();
    }
}
