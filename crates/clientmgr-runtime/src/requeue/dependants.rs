//! [`Dependants`]: the index behind a lock, the watch events that keep it current, and the streams that read it.

use std::fmt;
#[cfg(feature = "unstable-runtime")]
use std::future::ready;
#[cfg(feature = "unstable-runtime")]
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

#[cfg(feature = "unstable-runtime")]
use clientmgr_kube::Revoked;
use clientmgr_kube::{NamespacedName, ResourceName as _};
use futures::stream::{BoxStream, Fuse};
use futures::{Stream, StreamExt as _, stream};
use kube::Resource;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;
#[cfg(feature = "unstable-runtime")]
use kube::{
    Api,
    runtime::{Controller, WatchStreamExt as _, reflector::store::Writer, watcher::Config},
};
#[cfg(feature = "unstable-runtime")]
use serde::de::DeserializeOwned;

use super::changes::Changes;
use super::index::Index;
use super::pending::Pending;
use crate::forget::{Register, Registered, Reported};
#[cfg(feature = "unstable-runtime")]
use crate::watching::{Failure, Reports, watching_api};

/// So many items of a source are taken in one poll, so that a source that is always ready starves no other task.
const BATCH: usize = 64;

/// An index from clusters to the objects of a kind that depend on them, kept current by the events of one watcher. Cheap to
/// clone; all clones are one index.
///
/// [`requeue`](Self::requeue) turns changes of clusters into the objects to reconcile. A change costs what the dependants
/// of that cluster cost, however many objects there are.
///
/// # Examples
///
/// A controller whose objects name a cluster in a label:
///
/// ```no_run
/// use clientmgr_kube::k8s_openapi::api::core::v1::ConfigMap;
/// use clientmgr_kube::{Fleet, NamespacedName, kube};
/// use clientmgr_runtime::requeue::{Dependants, connection_changes};
/// use kube::runtime::{Controller, watcher};
/// use kube::{Api, Client, ResourceExt as _};
///
/// fn controller(hub: Client, fleet: &Fleet) -> Controller<ConfigMap> {
///     let dependants = Dependants::new(|object: &ConfigMap| {
///         object.labels().get("example.com/cluster").map(|name| NamespacedName::from(name.as_str()))
///     });
///     dependants.controller(Api::all(hub), watcher::Config::default(), connection_changes(fleet))
/// }
/// ```
pub struct Dependants<K: Resource> {
    shared: Arc<Shared<K>>,
}

struct Shared<K: Resource> {
    index: Mutex<Index>,
    clusters: Box<ClustersOf<K>>,
    dyntype: K::DynamicType,
    registered: Registered,
    /// Whether it follows a watcher.
    is_following: AtomicBool,
}

/// The right to feed an index: one watcher has it at a time.
struct Following<K: Resource>(Arc<Shared<K>>);

impl<K: Resource> Drop for Following<K> {
    fn drop(&mut self) {
        self.0.is_following.store(false, Ordering::Relaxed);
    }
}

/// Returns the clusters of an object.
type ClustersOf<K> = dyn Fn(&K) -> Vec<NamespacedName> + Send + Sync;

impl<K: Resource + 'static> Dependants<K>
where
    K::DynamicType: Clone + Send + Sync,
{
    /// Returns an index without objects. `clusters` returns the keys of the clusters that an object depends on: none, one
    /// or several.
    pub fn new<I>(clusters: impl Fn(&K) -> I + Send + Sync + 'static) -> Self
    where
        I: IntoIterator<Item = NamespacedName>,
        K::DynamicType: Default,
    {
        Self::new_with(K::DynamicType::default(), clusters)
    }

    /// Returns an index without objects, of a kind that is known only at run time.
    pub fn new_with<I>(dyntype: K::DynamicType, clusters: impl Fn(&K) -> I + Send + Sync + 'static) -> Self
    where
        I: IntoIterator<Item = NamespacedName>,
    {
        Self::forgetting(Registered::default(), dyntype, clusters)
    }

    /// Returns an index whose deleted objects `registered` forgets.
    pub(crate) fn forgetting<I>(
        registered: Registered,
        dyntype: K::DynamicType,
        clusters: impl Fn(&K) -> I + Send + Sync + 'static,
    ) -> Self
    where
        I: IntoIterator<Item = NamespacedName>,
    {
        let clusters = Box::new(move |object: &K| clusters(object).into_iter().collect());
        let (index, is_following) = (Mutex::default(), AtomicBool::new(false));
        Self { shared: Arc::new(Shared { index, clusters, dyntype, registered, is_following }) }
    }

    /// Has `state` forget each object that is deleted, while the program holds `state`. Where `state` is
    /// [remote watches](crate::watch::RemoteWatches), those that wait after an error resume as soon as
    /// [`requeue`](Self::requeue) reads that their cluster changed.
    pub fn register(&self, state: &impl Register) {
        self.shared.registered.add(state.downgrade());
    }

    /// Keeps the index current by the events of a watcher, and passes all events and errors through.
    ///
    /// What is [registered](Self::register) forgets the objects that are deleted, and those that a relist no longer
    /// contains.
    ///
    /// Put it before the store and the controller, so that an object is in the index before it is reconciled: then no change
    /// of its cluster goes unseen.
    ///
    /// # Panics
    ///
    /// The index, or a clone of it, follows a watcher already. Each relist of the one would remove the objects of the other:
    /// make an index for each.
    #[track_caller]
    pub fn observe<S, E>(&self, events: S) -> impl Stream<Item = Result<Event<K>, E>> + use<K, S, E>
    where
        S: Stream<Item = Result<Event<K>, E>>,
    {
        let is_following = self.shared.is_following.swap(true, Ordering::Relaxed);
        assert!(!is_following, "this Dependants follows a watcher already: make another one with Dependants::new");
        let (dependants, following) = (self.clone(), Following(Arc::clone(&self.shared)));
        let reported = Reported::new(self.shared.registered.clone());
        events.inspect(move |event| {
            let _ = &following;
            if let Ok(event) = event {
                dependants.apply(event);
                reported.observe(event);
            }
        })
    }

    /// Returns a controller of the objects of `api` that `config` selects, as `Controller::new` does, which also
    /// reconciles them when a cluster that they depend on changes.
    ///
    /// The watch is a new request each minute, unless `config` has another timeout, so that a connection that went silent hides
    /// no change for longer. A list that is not answered within a minute begins anew. The request of a watch has no deadline:
    /// where a proxy may swallow it, give the client of `api` a `read_timeout` of more than a minute.
    ///
    /// An error of the watch goes to the log, once for each kind, and the watch is tried again within 30 s. The changes of
    /// clusters reconcile objects meanwhile. Only a [`Revoked`] is an error of the controller: another cluster answers as the
    /// hub.
    ///
    /// It keeps the index current, and what is [registered](Self::register) forgets deleted objects.
    ///
    /// `changes` is a source of changed clusters, as for [`requeue`](Self::requeue). Without the feature
    /// `unstable-runtime`, which is a default one, see [`requeue_all`].
    ///
    /// # Panics
    ///
    /// The index, or a clone of it, is used by another controller. Make one for each.
    #[cfg(feature = "unstable-runtime")]
    #[track_caller]
    pub fn controller<S>(&self, api: Api<K>, config: Config, changes: S) -> Controller<K>
    where
        K: Clone + DeserializeOwned + fmt::Debug + Send + Sync,
        K::DynamicType: Eq + Hash,
        S: Stream<Item: Into<Changes>> + Send + 'static,
    {
        let writer = Writer::<K>::new(self.shared.dyntype.clone());
        let store = writer.as_reader();
        let kind = K::kind(&self.shared.dyntype).into_owned();
        let mut reports = Reports::default();
        // kube pauses all triggers of a controller after an error of one: so the watch is tried again here.
        let events = watching_api(api, config, Arc::default()).filter_map(move |event| {
            match &event {
                Err(error) if Revoked::find(error).is_none() => {
                    reports.log_watch(error, &kind, Failure::of_watch(error));
                    return ready(None);
                }
                Ok(Event::InitDone) if reports.clear() => tracing::info!("the objects of {kind} are listed again"),
                _ => {}
            }
            ready(Some(event))
        });
        let objects = self.observe(events).reflect(writer).applied_objects();
        Controller::for_stream_with(objects, store, self.shared.dyntype.clone()).reconcile_on(self.requeue(changes))
    }

    fn apply(&self, event: &Event<K>) {
        // Foreign code runs before the lock is taken.
        let clusters = match event {
            Event::Apply(object) | Event::InitApply(object) => (self.shared.clusters)(object),
            Event::Delete(_) | Event::Init | Event::InitDone => Vec::new(),
        };
        let mut index = self.index();
        match event {
            Event::Apply(object) => index.apply(object.namespaced_name(), clusters),
            Event::Delete(object) => index.delete(&object.namespaced_name()),
            Event::Init => index.begin_list(),
            Event::InitApply(object) => index.list(object.namespaced_name(), clusters),
            Event::InitDone => index.end_list(),
        }
    }

    /// Returns the objects that depend on `cluster` now. It is the mapper for `Controller::watches` of a `Cluster`
    /// resource.
    pub fn of(&self, cluster: &NamespacedName) -> Vec<ObjectRef<K>> {
        self.index().of(cluster).map(|object| self.object_ref(object)).collect()
    }

    /// Returns the objects to reconcile when clusters change, for kube-runtime's `Controller::reconcile_on`.
    ///
    /// `changes` is a source of changed clusters: [`connection_changes`](super::connection_changes) where reconciles read a
    /// fleet's snapshots, the keys of the cluster objects where they read those from a cache. Each source reports a
    /// change once the reconcile can see it.
    ///
    /// An object is pending at most once, however often its clusters change before it is read. An object that was deleted
    /// meanwhile is left out. An object that comes to depend on a cluster after a change needs no requeue: its own event
    /// brings a reconcile, which finds the cluster as it is.
    ///
    /// The stream never fails. It does work only when it is polled, so a slow reader delays nothing else and keeps at most
    /// one entry for each object. It ends when `changes` has ended and all is read.
    ///
    /// # Cancel safety
    ///
    /// A poll takes an item or nothing.
    pub fn requeue<S>(&self, changes: S) -> impl Stream<Item = ObjectRef<K>> + Send + Unpin + use<K, S>
    where
        S: Stream<Item: Into<Changes>> + Send + 'static,
    {
        let mut requeue = Requeue { dependants: self.clone(), changes: source(changes), pending: Pending::default() };
        stream::poll_fn(move |context| requeue.poll(context))
    }

    fn object_ref(&self, object: &NamespacedName) -> ObjectRef<K> {
        let found = ObjectRef::new_with(object.name(), self.shared.dyntype.clone());
        if object.namespace().is_empty() { found } else { found.within(object.namespace()) }
    }
}

impl<K: Resource> Dependants<K> {
    /// A panic leaves an index that is whole: each step inserts or removes.
    fn index(&self) -> MutexGuard<'_, Index> {
        self.shared.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns `()` when clusters change, for kube-runtime's `Controller::reconcile_all_on`, which reconciles every object.
///
/// It needs no index and no unstable feature, and costs a reconcile of all objects for each burst of changes. With many
/// objects use [`Dependants::requeue`]. With a `Cluster` resource, [`Dependants::of`] is a mapper for `Controller::watches`,
/// which is stable too.
///
/// All changes that have not been read give one item. The stream never fails, and ends when `changes` ends.
///
/// # Cancel safety
///
/// A poll takes an item or nothing.
///
/// # Examples
///
/// ```no_run
/// # use clientmgr_kube::k8s_openapi::api::core::v1::ConfigMap;
/// # use clientmgr_kube::{Fleet, kube};
/// # use clientmgr_runtime::requeue::{connection_changes, requeue_all};
/// # use kube::runtime::Controller;
/// fn trigger(controller: Controller<ConfigMap>, fleet: &Fleet) -> Controller<ConfigMap> {
///     controller.reconcile_all_on(requeue_all(connection_changes(fleet)))
/// }
/// ```
pub fn requeue_all<S>(changes: S) -> impl Stream<Item = ()> + Send + Unpin + use<S>
where
    S: Stream<Item: Into<Changes>> + Send + 'static,
{
    let mut changes = source(changes);
    stream::poll_fn(move |context| {
        let mut changed = false;
        let ended = take(&mut changes, context, |_| changed = true);
        match (changed, ended) {
            (true, _) => Poll::Ready(Some(())),
            (false, true) => Poll::Ready(None),
            (false, false) => Poll::Pending,
        }
    })
}

type Source = Fuse<BoxStream<'static, Changes>>;

fn source<S: Stream<Item: Into<Changes>> + Send + 'static>(changes: S) -> Source {
    changes.map(Into::into).boxed().fuse()
}

/// Takes the items that are ready. Returns whether the source has ended; otherwise the task will be woken.
fn take(source: &mut Source, context: &mut Context<'_>, mut each: impl FnMut(Changes)) -> bool {
    for _ in 0..BATCH {
        match source.poll_next_unpin(context) {
            Poll::Ready(Some(changes)) => each(changes),
            Poll::Ready(None) => return true,
            Poll::Pending => return false,
        }
    }
    context.waker().wake_by_ref();
    false
}

/// The state of a [`Dependants::requeue`] stream.
struct Requeue<K: Resource> {
    dependants: Dependants<K>,
    changes: Source,
    pending: Pending,
}

impl<K: Resource + 'static> Requeue<K>
where
    K::DynamicType: Clone + Send + Sync,
{
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<ObjectRef<K>>> {
        let Self { dependants, changes, pending } = self;
        let ended = take(changes, context, |changes| dependants.changed(&changes, pending));
        let index = dependants.index();
        while let Some(object) = pending.pop() {
            if index.contains(&object) {
                return Poll::Ready(Some(dependants.object_ref(&object)));
            }
        }
        if ended { Poll::Ready(None) } else { Poll::Pending }
    }
}

impl<K: Resource> Dependants<K> {
    /// Says to what is registered which clusters changed, and marks their dependants as pending.
    fn changed(&self, changes: &Changes, pending: &mut Pending) {
        let all: Vec<_>;
        let clusters = match changes {
            Changes::Of(clusters) => clusters,
            Changes::All => {
                all = self.index().clusters().cloned().collect();
                &all
            }
        };
        for cluster in clusters {
            self.shared.registered.cluster_changed(cluster);
        }
        self.mark(changes, pending);
    }

    /// Marks the dependants of what changed as pending.
    fn mark(&self, changes: &Changes, pending: &mut Pending) {
        let index = self.index();
        match changes {
            Changes::Of(clusters) => {
                let dependants = clusters.iter().flat_map(|cluster| index.of(cluster));
                dependants.for_each(|object| pending.push(object));
            }
            Changes::All => index.all().for_each(|object| pending.push(object)),
        }
        if pending.len() > index.all().len() {
            // Objects that are gone.
            pending.retain(|object| index.contains(object));
        }
    }
}

impl<K: Resource> Clone for Dependants<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K: Resource> fmt::Debug for Dependants<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dependants").field("objects", &self.index().all().len()).finish_non_exhaustive()
    }
}
