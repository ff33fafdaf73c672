//! The same races with real threads: reconciles, replaced connections and forgets at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use clientmgr_core::{BoundState, BoundStates, ClientError, ClientManager, Revision};
use futures::executor::block_on;

use crate::common::{Client, Provider, Rev};

const CLUSTERS: u8 = 4;
const ROUNDS: u32 = 3_000;

/// A provider whose connections are all connected.
fn provider() -> Arc<Provider> {
    let provider = Arc::new(Provider::default());
    for cluster in 0..CLUSTERS {
        provider.set(cluster, Ok(Rev::Time(1)));
    }
    provider
}

/// Runs `work` on four threads, while another one replaces the connections of `provider`. Returns what they returned.
fn on_threads<T: Send>(provider: &Provider, work: impl Fn(u8) -> T + Sync) -> Vec<T> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        // Also when a worker panics.
        let _stop = StopOnDrop(&stop);
        scope.spawn(|| {
            let mut revisions = 2..;
            while !stop.load(SeqCst) {
                for (cluster, revision) in (0..CLUSTERS).zip(&mut revisions) {
                    provider.set(cluster, Ok(Rev::Time(revision)));
                }
                thread::yield_now();
            }
        });
        let workers: Vec<_> = (0..4_u8)
            .map(|worker| {
                scope.spawn({
                    let work = &work;
                    move || work(worker)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    })
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn objects_that_reconcile_on_their_own_threads_keep_the_rules_while_connections_are_replaced() {
    let provider = provider();
    let clients = ClientManager::new(Arc::clone(&provider));
    let obtained: u32 = on_threads(&provider, |object| reconcile_alone(&clients, object)).into_iter().sum();
    assert!(obtained > 0, "a client was obtained");
    assert_eq!(clients.objects(), 0);
}

/// One object, reconciled by one thread: S1, S2 and S4 as it sees them itself. Returns how many clients it obtained.
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
    let provider = provider();
    let clients = ClientManager::new(Arc::clone(&provider));
    on_threads(&provider, |worker| reconcile_shared(&clients, u32::from(worker)));
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

async fn alone(client: Client) -> Result<Alone, Infallible> {
    Ok(Alone { client, torn_down: AtomicBool::new(false) })
}

#[test]
fn threads_that_share_bound_states_never_get_one_of_another_connection() {
    let provider = provider();
    let states = BoundStates::<_, u8, Alone>::new(Arc::clone(&provider));
    on_threads(&provider, |worker| {
        for round in 0..ROUNDS {
            let cluster = u8::try_from(round % 2).unwrap();
            if round % 64 == u32::from(worker) {
                states.forget(&0);
            }
            let seen = provider.cluster(cluster);
            let Ok(state) = block_on(states.get_or_build(&0, &seen, alone)) else { continue };
            let (of, revision) = state.client;
            let observed = seen.revision.unwrap();
            assert_eq!(of, cluster);
            assert!(!revision.is_older_than(&observed), "built on {revision:?}, which is older than {observed:?}");
        }
    });
    states.forget(&0);
    assert_eq!(states.objects(), 0);
}
