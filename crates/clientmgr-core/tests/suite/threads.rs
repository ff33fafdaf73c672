//! The same races with real threads: reconciles, replaced connections and forgets at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::thread;

use clientmgr_core::{BoundState, BoundStates, ClientError, ClientManager};
use futures::executor::block_on;

use crate::common::{Client, Provider, Rev, observed};

const CLUSTERS: u8 = 4;
const ROUNDS: u32 = 3_000;

/// Replaces connections until it is told to stop.
fn keep_replacing(provider: &Provider, revisions: &AtomicU32, stop: &AtomicBool) {
    while !stop.load(SeqCst) {
        for cluster in 0..CLUSTERS {
            provider.set(cluster, Ok(Rev::Time(revisions.fetch_add(1, SeqCst))));
        }
        thread::yield_now();
    }
}

fn provider() -> (Arc<Provider>, AtomicU32, AtomicBool) {
    let provider = Arc::new(Provider::default());
    for cluster in 0..CLUSTERS {
        provider.set(cluster, Ok(Rev::Time(1)));
    }
    (provider, AtomicU32::new(2), AtomicBool::new(false))
}

#[test]
fn objects_that_reconcile_on_their_own_threads_keep_the_rules_while_connections_are_replaced() {
    let (provider, revisions, stop) = provider();
    let clients = ClientManager::new(Arc::clone(&provider));
    thread::scope(|scope| {
        scope.spawn(|| keep_replacing(&provider, &revisions, &stop));
        let workers: Vec<_> = (0..4_u8)
            .map(|object| {
                scope.spawn({
                    let clients = &clients;
                    move || reconcile_alone(clients, object)
                })
            })
            .collect();
        let obtained: u32 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
        stop.store(true, SeqCst);
        assert!(obtained > 0, "somebody obtained a client");
    });
    assert_eq!(clients.objects(), 0);
}

/// One object, reconciled by one thread: S1, S2 and S4 as it sees them itself. Tells how many clients it obtained.
fn reconcile_alone(clients: &ClientManager<Arc<Provider>, u8>, object: u8) -> u32 {
    let mut obtained = 0;
    let mut built_on: [Option<Rev>; CLUSTERS as usize] = [None; CLUSTERS as usize];
    for round in 0..ROUNDS {
        let cluster = u8::try_from(round % u32::from(CLUSTERS)).unwrap();
        let seen = clients.provider().cluster(cluster);
        let state = &mut built_on[usize::from(cluster)];
        if clients.refresh(&object, &seen).is_reset() {
            *state = None;
        }
        match block_on(clients.client(&object, &seen)) {
            Ok((of, revision)) => {
                assert_eq!((of, Some(revision)), (cluster, seen.revision), "S2");
                assert!(state.is_none_or(|state| state == revision), "S1, S4: two clients under one state");
                *state = Some(revision);
                obtained += 1;
            }
            Err(ClientError::ClusterOutdated { .. }) => {}
            Err(error) => panic!("a controller that refreshes first never meets this: {error:?}"),
        }
    }
    clients.forget(&object);
    obtained
}

#[test]
fn threads_that_share_objects_never_get_an_unobserved_client_and_leave_nothing() {
    let (provider, revisions, stop) = provider();
    let clients = ClientManager::new(Arc::clone(&provider));
    thread::scope(|scope| {
        scope.spawn(|| keep_replacing(&provider, &revisions, &stop));
        let workers: Vec<_> = (0..4_u32)
            .map(|worker| {
                scope.spawn({
                    let clients = &clients;
                    move || reconcile_shared(clients, worker)
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        stop.store(true, SeqCst);
    });
    for object in 0..3 {
        for cluster in 0..CLUSTERS {
            let seen = provider.cluster(cluster);
            let _ = clients.refresh(&object, &seen);
            block_on(clients.client(&object, &seen))
                .expect("S3: once observed is current, refresh and client succeeds");
        }
        clients.forget(&object);
    }
    assert_eq!(clients.objects(), 0);
}

fn reconcile_shared(clients: &ClientManager<Arc<Provider>, u8>, worker: u32) {
    for round in 0..ROUNDS {
        let mixed = round.wrapping_mul(31).wrapping_add(worker * 7);
        let (object, cluster) = (u8::try_from(mixed % 3).unwrap(), u8::try_from(mixed % 4).unwrap());
        match mixed % 50 {
            0 => clients.forget(&object),
            1 => clients.forget_cluster(&cluster),
            _ => {}
        }
        let seen = clients.provider().cluster(cluster);
        clients.provider().delay_next(usize::from(mixed % 5 == 0));
        let _ = clients.refresh(&object, &seen);
        match block_on(clients.client(&object, &seen)) {
            Ok(client) => assert_eq!(Some(client), seen.revision.map(|revision| (cluster, revision)), "S2"),
            Err(error) => assert!(error.is_stale() || matches!(error, ClientError::Forgotten { .. }), "{error:?}"),
        }
    }
}

struct Alone {
    client: Client,
    torn_down: AtomicBool,
}

impl BoundState for Alone {
    fn teardown(&self) {
        assert!(!self.torn_down.swap(true, SeqCst), "torn down twice");
    }
}

#[test]
fn threads_that_share_bound_states_never_get_one_of_another_connection() {
    let (provider, revisions, stop) = provider();
    let states = BoundStates::<_, u8, Alone>::new(Arc::clone(&provider));
    thread::scope(|scope| {
        scope.spawn(|| keep_replacing(&provider, &revisions, &stop));
        let workers: Vec<_> = (0..4_u8)
            .map(|worker| {
                let states = &states;
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let cluster = u8::try_from(round % 2).unwrap();
                        if round % 64 == u32::from(worker) {
                            states.forget(&0);
                        }
                        let seen = states.provider().cluster(cluster);
                        let build = |client| async move {
                            Ok::<_, std::convert::Infallible>(Alone { client, torn_down: AtomicBool::new(false) })
                        };
                        if let Ok(state) = block_on(states.get_or_build(&0, &seen, build)) {
                            let (of, revision) = state.client;
                            let (Rev::Time(seen), Rev::Time(built)) = (seen.revision.unwrap(), revision) else {
                                panic!("revisions are times here")
                            };
                            assert_eq!(of, cluster);
                            assert!(built >= seen, "built on {built}, which is older than the {seen} observed");
                        }
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        stop.store(true, SeqCst);
    });
    states.forget(&0);
    assert_eq!(states.objects(), 0);
    assert!(
        block_on(states.get_or_build(&0, &observed(9, None), |client| async move {
            Ok::<_, std::convert::Infallible>(Alone { client, torn_down: AtomicBool::new(false) })
        }))
        .is_err()
    );
}
