//! The manager under a scheduler that tries interleavings: `cargo xtask shuttle`. Empty in a usual build.
#![cfg(clientmgr_shuttle)]

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use clientmgr_core::{
    BoundState, BoundStates, ClientError, ClientManager, ClientProvider, Connection, ObservedCluster, Ordered,
    ProviderError, async_trait,
};
use shuttle::future::block_on;
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;

const ITERATIONS: usize = 5_000;

/// One cluster, whose connection is replaced now and then. Yields while it is asked, so that anything may come between.
#[derive(Debug)]
struct Provider {
    current: Mutex<u32>,
    /// Whether it answers from memory, as most do.
    at_once: bool,
}

#[async_trait]
impl ClientProvider for Provider {
    type Client = u32;
    type Key = u8;
    type Revision = Ordered<u32>;

    async fn connection(&self, _: &u8) -> Result<Connection<u32, Ordered<u32>>, ProviderError> {
        if !self.at_once {
            shuttle::future::yield_now().await;
        }
        let current = *self.current.lock().unwrap();
        Ok(Connection { client: current, revision: Ordered(current) })
    }
}

type Clients = ClientManager<Provider, u8>;

fn clients() -> Arc<Clients> {
    Arc::new(ClientManager::new(Provider { current: Mutex::new(1), at_once: false }))
}

fn observe(clients: &Clients) -> ObservedCluster<u8, Ordered<u32>> {
    ObservedCluster { key: 0, revision: Some(Ordered(*clients.provider().current.lock().unwrap())) }
}

fn replace(clients: &Clients) {
    *clients.provider().current.lock().unwrap() += 1;
}

#[test]
fn an_object_on_one_thread_keeps_the_rules_while_its_connection_is_replaced() {
    shuttle::check_random(
        || {
            let clients = clients();
            let replacing = thread::spawn({
                let clients = Arc::clone(&clients);
                move || (0..2).for_each(|_| replace(&clients))
            });
            let mut built_on = None;
            for _ in 0..3 {
                let seen = observe(&clients);
                if clients.refresh(&0, &seen).is_reset() {
                    built_on = None;
                }
                match block_on(clients.client(&0, &seen)) {
                    Ok(client) => {
                        assert_eq!(Some(Ordered(client)), seen.revision, "S2");
                        assert!(built_on.is_none_or(|built_on| built_on == client), "S1, S4");
                        built_on = Some(client);
                    }
                    Err(ClientError::ClusterOutdated { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
            replacing.join().unwrap();
            let seen = observe(&clients);
            let _ = clients.refresh(&0, &seen);
            block_on(clients.client(&0, &seen)).expect("S3");
        },
        ITERATIONS,
    );
}

#[test]
fn a_request_and_a_forget_leave_no_trace_in_any_order() {
    shuttle::check_random(
        || {
            let clients = clients();
            let asking = thread::spawn({
                let clients = Arc::clone(&clients);
                move || {
                    let seen = observe(&clients);
                    block_on(clients.client(&0, &seen)).map_err(|error| matches!(error, ClientError::Forgotten { .. }))
                }
            });
            let forgetting = thread::spawn({
                let clients = Arc::clone(&clients);
                move || clients.forget(&0)
            });
            let asked = asking.join().unwrap();
            forgetting.join().unwrap();
            match asked {
                // The request ended before the forget, or began after it.
                Ok(client) => {
                    assert_eq!(client, 1);
                    assert!(clients.objects() <= 1);
                }
                Err(forgotten) => {
                    assert!(forgotten);
                    assert_eq!(clients.objects(), 0);
                }
            }
            clients.forget(&0);
            assert_eq!(clients.objects(), 0, "S6");
        },
        ITERATIONS,
    );
}

#[test]
fn two_threads_on_one_object_and_a_forgotten_cluster_deadlock_nowhere_and_leave_nothing() {
    shuttle::check_random(
        || {
            let clients = clients();
            let workers: Vec<_> = (0..2)
                .map(|worker| {
                    let clients = Arc::clone(&clients);
                    thread::spawn(move || {
                        let seen = observe(&clients);
                        let _ = clients.refresh(&0, &seen);
                        if let Ok(client) = block_on(clients.client(&0, &seen)) {
                            assert_eq!(Some(Ordered(client)), seen.revision, "S2");
                        }
                        if worker == 0 { replace(&clients) } else { clients.forget_cluster(&0) }
                    })
                })
                .collect();
            for worker in workers {
                worker.join().unwrap();
            }
            let seen = observe(&clients);
            let _ = clients.refresh(&0, &seen);
            block_on(clients.client(&0, &seen)).expect("S3");
            clients.forget(&0);
            assert_eq!(clients.objects(), 0, "S6");
        },
        ITERATIONS,
    );
}

/// No thread refreshes here, so by S1 the object has one revision, whichever thread requests it.
#[test]
fn threads_that_share_an_object_obtain_one_revision_between_two_resets() {
    shuttle::check_random(
        || {
            let provider = Provider { current: Mutex::new(1), at_once: true };
            let clients = Arc::new(ClientManager::new(provider));
            let obtained = Arc::new(Mutex::new(Vec::new()));
            let workers: Vec<_> = (0..2)
                .map(|worker| {
                    let (clients, obtained) = (Arc::clone(&clients), Arc::clone(&obtained));
                    thread::spawn(move || {
                        if worker == 0 {
                            replace(&clients);
                        }
                        let seen = observe(&clients);
                        if let Ok(client) = block_on(clients.client(&0, &seen)) {
                            obtained.lock().unwrap().push(client);
                        }
                    })
                })
                .collect();
            for worker in workers {
                worker.join().unwrap();
            }
            let obtained = obtained.lock().unwrap();
            assert!(obtained.windows(2).all(|two| two[0] == two[1]), "S1: {obtained:?}");
        },
        ITERATIONS,
    );
}

/// Counts the states that live: built, and their teardown not yet over.
struct Living(Arc<AtomicUsize>);

impl Living {
    fn build(living: &Arc<AtomicUsize>) -> Result<Self, Infallible> {
        assert_eq!(living.fetch_add(1, SeqCst), 0, "two states live at once");
        Ok(Self(Arc::clone(living)))
    }
}

impl BoundState for Living {
    fn teardown(&self) {
        thread::yield_now();
        self.0.fetch_sub(1, SeqCst);
    }
}

type States = BoundStates<Provider, u8, Living>;

/// States of which none is built, and how many are living.
fn nothing_built() -> (Arc<States>, Arc<AtomicUsize>) {
    let provider = Provider { current: Mutex::new(1), at_once: true };
    (Arc::new(BoundStates::new(provider)), Arc::new(AtomicUsize::new(0)))
}

fn get(states: &States, living: &Arc<AtomicUsize>) -> Option<Arc<Living>> {
    let seen = ObservedCluster { key: 0, revision: Some(Ordered(1)) };
    block_on(states.get_or_build(&0, &seen, async |_| Living::build(living))).ok()
}

/// A build that was under way when its object was forgotten may run beside the next: here, builds take no time.
#[test]
fn no_two_states_live_at_once_whoever_discards_and_forgets() {
    shuttle::check_random(
        || {
            let (states, living) = nothing_built();
            let current = get(&states, &living).unwrap();
            let workers: Vec<_> = (0..3)
                .map(|worker| {
                    let (states, living, current) = (Arc::clone(&states), Arc::clone(&living), Arc::clone(&current));
                    thread::spawn(move || match worker {
                        0 => drop(get(&states, &living)),
                        1 => _ = states.discard(&0, &0, &current),
                        _ => states.forget_cluster(&0),
                    })
                })
                .collect();
            for worker in workers {
                worker.join().unwrap();
            }
            drop(get(&states, &living).expect("it can be built again"));
            states.forget(&0);
            assert_eq!((states.objects(), living.load(SeqCst)), (0, 0));
        },
        ITERATIONS,
    );
}

#[test]
fn a_first_state_survives_the_forgetting_of_other_clusters() {
    shuttle::check_random(
        || {
            let (states, living) = nothing_built();
            let first = thread::spawn({
                let (states, living) = (Arc::clone(&states), Arc::clone(&living));
                move || drop(get(&states, &living))
            });
            let forgetting = thread::spawn({
                let states = Arc::clone(&states);
                move || states.forget_cluster(&1)
            });
            first.join().unwrap();
            forgetting.join().unwrap();
            assert_eq!(states.objects(), 1);
            // A second build would be a second state.
            drop(get(&states, &living).unwrap());
            states.forget(&0);
            assert_eq!((states.objects(), living.load(SeqCst)), (0, 0));
        },
        ITERATIONS,
    );
}
