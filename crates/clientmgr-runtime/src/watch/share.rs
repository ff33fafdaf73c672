//! [`Share`]: the part of one object in a watch, as a state that is bound to the object's client; [`Running`]: the watches
//! that are open, by cluster and revision.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use clientmgr_kube::{BoundState, BoundTask, ConnectedAt, NamespacedName};
use futures::stream::BoxStream;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::{Notify, watch};

use super::kind::WatchKind;
use super::progress::Progress;
use super::remote::RemoteWatch;
use super::task::{Mapper, Report, run};
use super::triggers::Hub;
use super::users::Users;
use crate::watching::watching_until;

/// How a watch is opened on a client.
pub(super) struct Kind<K: WatchKind> {
    pub(super) dyntype: K::DynamicType,
    pub(super) api: Box<dyn Fn(Client) -> Api<K> + Send + Sync>,
    pub(super) config: watcher::Config,
    pub(super) mapper: Arc<Mapper<K>>,
    pub(super) hub: Hub,
}

type Events<K> = BoxStream<'static, watcher::Result<watcher::Event<K>>>;

/// The open watches. Each is kept open by the shares in it.
pub(super) struct Running<K: WatchKind> {
    kind: Kind<K>,
    watches: Mutex<Watches<K>>,
}

type Watches<K> = HashMap<NamespacedName, BTreeMap<ConnectedAt, Known<K>>>;

/// A watch that may be open.
struct Known<K: WatchKind> {
    open: Weak<Open<K>>,
    /// Ends the pause after an error. Not in [`Open`]: to use it must not make anything the last owner of the watch.
    resume: Arc<Notify>,
}

/// A watch with its task.
struct Open<K: WatchKind> {
    task: BoundTask,
    watch: RemoteWatch<K>,
    users: Arc<Mutex<Users>>,
}

/// The part of one object in a watch. The last one to be torn down ends the watch.
pub(super) struct Share<K: WatchKind> {
    running: Arc<Running<K>>,
    object: NamespacedName,
    watch: RemoteWatch<K>,
    open: Mutex<Option<Arc<Open<K>>>>,
    /// The watch that was ended by the teardown of this share.
    ending: OnceLock<Open<K>>,
}

impl<K: WatchKind> Running<K> {
    pub(super) fn new(kind: Kind<K>) -> Self {
        Self { kind, watches: Mutex::default() }
    }

    /// Makes `object` a user of the watch on this incarnation of `cluster`, which is opened if there is none.
    pub(super) fn join(
        self: &Arc<Self>,
        object: NamespacedName,
        cluster: &NamespacedName,
        revision: ConnectedAt,
        client: Client,
    ) -> Share<K> {
        let found = |watches: &Watches<K>| watches.get(cluster)?.get(&revision)?.open.upgrade();
        let is_open = |open: &Arc<Open<K>>| !open.watch.has_ended();
        // What is found is dropped without the lock: the last reference to a watch ends it.
        let found_first = found(&self.lock());
        let open = found_first.filter(is_open).unwrap_or_else(|| {
            // Foreign code runs without the lock. Another object may open the watch meanwhile.
            let resume = Arc::default();
            let events = watching_until(&client, &self.kind.api, self.kind.config.clone(), Arc::clone(&resume));
            let mut watches = self.lock();
            let found_now = found(&watches);
            let open = match &found_now {
                Some(open) if is_open(open) => Arc::clone(open),
                _ => {
                    let open = Arc::new(self.open(cluster.clone(), revision, client, events));
                    let known = Known { open: Arc::downgrade(&open), resume };
                    watches.entry(cluster.clone()).or_default().insert(revision, known);
                    open
                }
            };
            drop(watches);
            open
        });
        lock(&open.users).add(&object);
        self.kind.hub.join(&object);
        let watch = open.watch.clone();
        Share { running: Arc::clone(self), object, watch, open: Mutex::new(Some(open)), ending: OnceLock::new() }
    }

    fn open(&self, cluster: NamespacedName, revision: ConnectedAt, client: Client, events: Events<K>) -> Open<K> {
        let Kind { dyntype, mapper, hub, .. } = &self.kind;
        let (writer, (progress, seen)) = (Writer::new(dyntype.clone()), watch::channel(Progress::default()));
        let (store, users) = (writer.as_reader(), Arc::new(Mutex::new(Users::default())));
        let report = Report { progress, users: Arc::clone(&users), hub: hub.clone() };
        let task = run((events, dyntype.clone()), cluster.clone(), writer, report, Arc::clone(mapper));
        let watch = RemoteWatch { cluster, revision, client, store, progress: seen };
        Open { task: BoundTask::spawn(task), watch, users }
    }

    /// The cluster may be served again: its watches that wait after an error wait no longer.
    pub(super) fn resume(&self, cluster: &NamespacedName) {
        let known: Vec<_> = {
            let watches = self.lock();
            watches.get(cluster).into_iter().flatten().map(|(_, known)| Arc::clone(&known.resume)).collect()
        };
        // Without the lock: each wakes a task.
        for resume in known {
            resume.notify_one();
        }
    }

    /// Returns how many watches have a share.
    pub(super) fn count(&self) -> usize {
        let watches = self.lock();
        watches.values().flat_map(BTreeMap::values).filter(|known| known.open.strong_count() > 0).count()
    }

    /// Removes a watch that is no longer open.
    fn remove(&self, watch: &RemoteWatch<K>) {
        let mut watches = self.lock();
        if let Some(of_cluster) = watches.get_mut(&watch.cluster) {
            of_cluster.retain(|_, known| known.open.strong_count() > 0);
            if of_cluster.is_empty() {
                watches.remove(&watch.cluster);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watches<K>> {
        lock(&self.watches)
    }
}

/// Each lock guards what is whole between two steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: WatchKind> Share<K> {
    pub(super) fn watch(&self) -> &RemoteWatch<K> {
        &self.watch
    }
}

impl<K: WatchKind> BoundState for Share<K> {
    fn teardown(&self) {
        let Some(open) = lock(&self.open).take() else { return };
        lock(&open.users).remove(&self.object);
        self.running.kind.hub.leave(&self.object);
        if let Some(last) = Arc::into_inner(open) {
            last.task.teardown();
            self.running.remove(&self.watch);
            // Set here only, once.
            _ = self.ending.set(last);
        }
    }

    async fn ended(&self) {
        if let Some(ending) = self.ending.get() {
            ending.task.ended().await;
        }
    }
}

impl<K: WatchKind> Drop for Share<K> {
    fn drop(&mut self) {
        self.teardown();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::pin;
    use std::task::{Context, Wake, Waker};

    use http::{Request, Response};
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::client::Body;

    use super::*;

    /// Tears the last share of a watch down when it is woken: in the middle of [`Running::resume`].
    struct Teardown(Share<ConfigMap>);

    impl Wake for Teardown {
        fn wake(self: Arc<Self>) {
            self.0.teardown();
        }
    }

    #[tokio::test]
    async fn a_watch_whose_last_share_goes_while_it_is_resumed_ends_in_order() {
        let service = tower::service_fn(|_: Request<Body>| pending::<kube::Result<Response<Body>>>());
        let client = Client::new(service, "default");
        let running = Arc::new(Running::<ConfigMap>::new(Kind {
            dyntype: (),
            api: Box::new(Api::all),
            config: watcher::Config::default(),
            mapper: Arc::new(|_, _| Vec::new()),
            hub: Hub::default(),
        }));
        let (cluster, revision) = (NamespacedName::from("east"), ConnectedAt::now());
        let share = running.join(NamespacedName::from("a"), &cluster, revision, client);
        let resume = Arc::clone(&running.lock()[&cluster][&revision].resume);
        let teardown = Arc::new(Teardown(share));
        let mut resumed = pin!(resume.notified());
        let waker = Waker::from(Arc::clone(&teardown));
        assert!(resumed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());

        running.resume(&cluster);
        assert!(running.lock().is_empty(), "the watch is forgotten");
        let ending = teardown.0.ending.get().expect("the teardown ends the watch");
        ending.task.ended().await;
    }
}
