//! Forgetting at bad moments: while the provider gets a request, while others end, while a teardown panics.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use clientmgr_core::{
    BoundState, BoundStates, ClientError, ClientManager, ClientProvider, Connection, ObservedCluster, Ordered,
    ProviderError, async_trait,
};
use futures::executor::block_on;

use crate::common::{Provider, Rev, observed, pend, poll_now};

const OBJECT: u8 = 7;

/// A cluster's key that counts its copies.
type CountedKey = Arc<u8>;
type Clients = ClientManager<Meanwhile, u8>;
type Act = Box<dyn FnOnce(&CountedKey) + Send>;

/// Does something when it gets a request, before it answers or waits.
#[derive(Default)]
struct Meanwhile {
    act: Mutex<Option<Act>>,
    waits: usize,
}

#[async_trait]
impl ClientProvider for Meanwhile {
    type Client = ();
    type Key = CountedKey;
    type Revision = Ordered<u8>;

    async fn connection(&self, cluster: &CountedKey) -> Result<Connection<(), Ordered<u8>>, ProviderError> {
        let act = self.act.lock().unwrap().take();
        if let Some(act) = act {
            act(cluster);
        }
        pend(self.waits).await;
        Ok(Connection { client: (), revision: Ordered(1) })
    }
}

fn seen(cluster: &CountedKey) -> ObservedCluster<CountedKey, Ordered<u8>> {
    ObservedCluster { key: Arc::clone(cluster), revision: Some(Ordered(1)) }
}

#[test]
fn a_forget_while_the_provider_is_told_of_a_request_leaves_no_trace_of_it() {
    let forgets: [fn(&Clients, &CountedKey); 3] = [
        |clients, _| clients.forget(&OBJECT),
        |clients, cluster| clients.forget_cluster(cluster),
        |clients, _| clients.retain(&OBJECT, |_| false),
    ];
    for forget in forgets {
        for (waits, held) in [(0, false), (0, true), (1, false), (1, true)] {
            let cluster = Arc::new(1);
            let clients = Arc::new(Clients::new(Meanwhile { waits, ..Meanwhile::default() }));
            if held {
                block_on(clients.client(&OBJECT, &seen(&cluster))).unwrap();
            }
            let act = {
                let clients = Arc::downgrade(&clients);
                move |cluster: &CountedKey| forget(&clients.upgrade().expect("it is in use"), cluster)
            };
            *clients.provider().act.lock().unwrap() = Some(Box::new(act));

            let asked = block_on(clients.client(&OBJECT, &seen(&cluster)));
            assert!(matches!(asked, Err(ClientError::Forgotten { .. })), "{asked:?}, {waits} {held}");
            assert_eq!(clients.objects(), 0, "{waits} {held}");
            drop(asked);
            assert_eq!(Arc::strong_count(&cluster), 1, "no key is kept: {waits} {held}");
        }
    }
}

#[test]
fn a_request_that_waits_is_forgotten_though_another_put_the_entry_back() {
    let cluster = Arc::new(1);
    let clients = Clients::new(Meanwhile { waits: 1, ..Meanwhile::default() });
    block_on(clients.client(&OBJECT, &seen(&cluster))).unwrap();
    let observed = seen(&cluster);
    let mut waiting = Box::pin(clients.client(&OBJECT, &observed));
    assert!(poll_now(&mut waiting).is_pending());
    clients.forget(&OBJECT);
    block_on(clients.client(&OBJECT, &observed)).expect("a later request is independent");
    assert!(matches!(block_on(waiting), Err(ClientError::Forgotten { .. })));
    assert_eq!(clients.objects(), 1);
}

#[test]
fn a_panic_in_what_decides_what_to_retain_forgets_nothing_and_keeps_no_key_for_ever() {
    let clusters = [Arc::new(1), Arc::new(2)];
    let clients = Clients::new(Meanwhile::default());
    for cluster in &clusters {
        block_on(clients.client(&OBJECT, &seen(cluster))).unwrap();
    }
    let asked = AtomicUsize::new(0);
    let keep = |_: &CountedKey| if asked.fetch_add(1, SeqCst) == 0 { false } else { panic!("cannot decide") };
    assert!(catch_unwind(AssertUnwindSafe(|| clients.retain(&OBJECT, keep))).is_err());
    for cluster in &clusters {
        // It holds a client still: an object that was forgotten has nothing to reset.
        let replaced = ObservedCluster { key: Arc::clone(cluster), revision: Some(Ordered(2)) };
        assert!(clients.refresh(&OBJECT, &replaced).is_reset());
    }
    clients.forget(&OBJECT);
    assert!(clusters.iter().all(|cluster| Arc::strong_count(cluster) == 1));
}

/// A state whose first teardown panics. All are counted.
struct Fragile(Arc<AtomicUsize>);

impl BoundState for Fragile {
    fn teardown(&self) {
        assert!(self.0.fetch_add(1, SeqCst) > 0, "the first breaks");
    }
}

/// Three objects with a state on each of two clusters.
fn fragile() -> (BoundStates<Provider, u8, Fragile>, Arc<AtomicUsize>) {
    let (states, torn_down) = (BoundStates::new(Provider::default()), Arc::new(AtomicUsize::new(0)));
    for cluster in [1, 2] {
        states.provider().set(cluster, Ok(Rev::Time(1)));
        for object in 0..3 {
            let build = async |_| Ok::<_, std::convert::Infallible>(Fragile(Arc::clone(&torn_down)));
            block_on(states.get_or_build(&object, &observed(cluster, Some(Rev::Time(1))), build)).unwrap();
        }
    }
    (states, torn_down)
}

#[test]
fn a_teardown_that_panics_keeps_no_other_from_its_own() {
    let (states, torn_down) = fragile();
    assert!(catch_unwind(AssertUnwindSafe(|| states.forget(&0))).is_err(), "the panic is handed on");
    assert_eq!((torn_down.load(SeqCst), states.objects()), (2, 2));

    let (states, torn_down) = fragile();
    assert!(catch_unwind(AssertUnwindSafe(|| states.forget_cluster(&1))).is_err());
    assert_eq!((torn_down.load(SeqCst), states.objects()), (3, 3));
    states.forget_cluster(&2);
    assert_eq!((torn_down.load(SeqCst), states.objects()), (6, 0));

    let (states, torn_down) = fragile();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(states))).is_err());
    assert_eq!(torn_down.load(SeqCst), 6);
}

#[test]
fn a_teardown_that_panics_while_a_panic_is_under_way_does_not_end_the_process() {
    let torn_down = RefCell::new(None);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let (_states, counter) = fragile();
        *torn_down.borrow_mut() = Some(counter);
        panic!("the map is dropped on the way out");
    }));
    assert!(unwound.is_err());
    assert_eq!(torn_down.take().unwrap().load(SeqCst), 6);
}

#[test]
fn a_first_call_that_is_dropped_during_a_retain_leaves_no_trace() {
    let states = BoundStates::<_, u8, Fragile>::new(Provider::default());
    states.provider().set(1, Ok(Rev::Time(1)));
    states.provider().delay_next(1);
    let observed = observed(1, Some(Rev::Time(1)));
    let build = async |_| Ok::<_, std::convert::Infallible>(Fragile(Arc::default()));
    let mut first: Pin<Box<dyn Future<Output = _>>> = Box::pin(states.get_or_build(&OBJECT, &observed, build));
    assert!(poll_now(&mut first).is_pending());
    let first = RefCell::new(Some(first));
    states.retain(&OBJECT, |_| {
        drop(first.take());
        true
    });
    assert_eq!(states.objects(), 0);
}
