//! The manager under a scheduler that tries interleavings: `cargo xtask shuttle`. Empty in a usual build.
#![cfg(clientmgr_shuttle)]

use clientmgr_core::{
    ClientError, ClientManager, ClientProvider, Connection, ObservedCluster, Ordered, ProviderError, async_trait,
};
use shuttle::future::block_on;
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;

const ITERATIONS: usize = 5_000;

/// One cluster, whose connection is replaced now and then. Yields while it is asked, so that anything may come between.
#[derive(Debug)]
struct Provider {
    current: Mutex<u32>,
}

#[async_trait]
impl ClientProvider for Provider {
    type Client = u32;
    type Key = u8;
    type Revision = Ordered<u32>;

    async fn connection(&self, _: &u8) -> Result<Connection<u32, Ordered<u32>>, ProviderError> {
        shuttle::future::yield_now().await;
        let current = *self.current.lock().unwrap();
        Ok(Connection { client: current, revision: Ordered(current) })
    }
}

type Clients = ClientManager<Provider, u8>;

fn clients() -> Arc<Clients> {
    Arc::new(ClientManager::new(Provider { current: Mutex::new(1) }))
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
