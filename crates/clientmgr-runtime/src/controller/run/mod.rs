//! The loop of the controller: what happened goes in, the decision is carried out. One task for all Clusters.

mod writing;

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use clientmgr_kube::{
    ClusterChanges, ClusterObject as _, ConnectError, ConnectedAt, NamespacedName, ResourceName as _,
};
use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered};
use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::config::Kubeconfig;
use kube::runtime::reflector::store::Writer as StoreWriter;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::time::{Instant, MissedTickBehavior};

use super::announcements::Announcements;
use super::applying::{Applying, Turn};
use super::conditions::OutageText;
use super::connection::{Allowed, Contexts, Desired, desired, secret_of};
use super::decide::{Decision, FleetStep, Input, Role, decide};
use super::entry::Entry;
use super::hub_error::HubError;
use super::observed::Observed;
use super::problem::ConfigProblem;
use super::provider::ClusterProvider;
use super::role::StatusWriter;
use super::secrets::{SecretChange, Secrets};
use super::writes::Writes;
use crate::cluster::{Cluster, ConnectionKind};
use crate::forget::Registered;
use crate::listing::Listing;
use crate::source::News;
use crate::watching::{Failure, Reports, watching};

/// So many statuses are written at a time.
const WRITES: usize = 16;

/// How long the text of an outage stays, though its attempts fail in other ways.
const OUTAGE_TEXT: Duration = Duration::from_secs(300);

/// How long the last statuses may take, at the end.
pub(super) const LAST_WRITES: Duration = Duration::from_secs(5);

/// How often revisions that were refused are looked at again: the clock may have been corrected.
pub(super) const RECHECK: Duration = Duration::from_secs(60);

/// Returns the time of the wall clock. Tests give another one.
pub(super) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A reset that has ended: of which Cluster, by its UID too.
type Reset = (NamespacedName, Option<String>, Result<ConnectedAt, ConnectError>);

/// The controller while it runs. It never ends by itself.
pub(super) struct Loop {
    pub(super) provider: ClusterProvider,
    pub(super) registered: Registered,
    pub(super) announcements: Announcements,
    pub(super) allowed: Allowed,
    pub(super) role: StatusWriter,
    pub(super) secrets: Secrets,
    pub(super) writes: Writes,
    pub(super) entries: HashMap<NamespacedName, Entry>,
    /// The Clusters that refer to a Secret.
    pub(super) users: HashMap<NamespacedName, BTreeSet<NamespacedName>>,
    /// The Clusters to which changed Secrets are yet to be applied.
    pub(super) applying: Applying,
    pub(super) resets: FuturesUnordered<BoxFuture<'static, Reset>>,
    /// When to write which status.
    pub(super) due: BTreeSet<(Instant, NamespacedName)>,
    /// How long changes are collected before a status is written.
    pub(super) delay: Duration,
    /// Which failures of the watch of Clusters were reported.
    pub(super) reports: Reports,
    /// Which failures of writing were reported.
    pub(super) write_reports: Reports,
    /// Which Clusters are gone after a list.
    pub(super) listing: Listing<NamespacedName>,
    pub(super) clock: Clock,
    /// The controller's own kubeconfig, where its files are watched.
    pub(super) contexts: BoxStream<'static, News<Kubeconfig>>,
}

impl Loop {
    pub(super) async fn run(
        &mut self,
        client: &Client,
        namespace: Option<&str>,
        mut store: StoreWriter<Cluster>,
    ) -> Infallible {
        let api = |client| match namespace {
            Some(namespace) => Api::<Cluster>::namespaced(client, namespace),
            None => Api::all(client),
        };
        let mut clusters = watching(client, api, watcher::Config::default());
        let mut fleet = self.provider.fleet().events();
        let mut recheck = tokio::time::interval(RECHECK);
        recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next_write = self.due.first().map(|(at, _)| *at).filter(|_| self.writes.under_way() < WRITES);
            let write = async {
                match next_write {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(event) = clusters.next() => match event {
                    Ok(event) => {
                        store.apply_watcher_event(&event);
                        let changed = match &event {
                            watcher::Event::Apply(cluster) | watcher::Event::Delete(cluster) => {
                                Some(cluster.namespaced_name())
                            }
                            _ => None,
                        };
                        let is_listed = matches!(event, watcher::Event::InitDone);
                        self.watched(event);
                        // Once all is in place that a reconcile asks for.
                        if let Some(cluster) = changed {
                            self.announcements.changed(&cluster);
                        }
                        if is_listed {
                            if self.reports.clear() {
                                tracing::info!("the Clusters are listed again");
                            }
                            self.provider.listed();
                            self.announcements.all_changed();
                        }
                    }
                    Err(error) => self.watch_failed(&error),
                },
                Some(news) = self.contexts.next() => self.contexts_changed(news),
                change = self.secrets.changed(), if !self.applying.is_full() => self.secret_changed(change),
                () = ready(()), if !self.applying.is_empty() => {
                    self.apply_next();
                    // Each may take milliseconds.
                    tokio::task::yield_now().await;
                }
                Some(changes) = fleet.next() => self.fleet_changed(changes),
                written = self.writes.written() => self.written(written),
                Some((cluster, uid, result)) = self.resets.next() => self.was_reset(&cluster, uid.as_ref(), result),
                () = self.role.changed() => self.reconcile_all(),
                _ = recheck.tick() => self.recheck(),
                () = write => self.write_due(),
            }
            // What is always ready would starve the other tasks, and a runtime that shuts down would wait for this one.
            tokio::task::consume_budget().await;
        }
    }

    fn watch_failed(&mut self, error: &watcher::Error) {
        let shown = HubError::from(&Failure::of_watch(error));
        self.reports.log_watch(error, "Clusters", &shown);
        self.provider.list_failed(shown);
    }

    fn watched(&mut self, event: watcher::Event<Cluster>) {
        match event {
            watcher::Event::Init => self.listing.restart(),
            // A list is the truth, whatever its versions are.
            watcher::Event::InitApply(cluster) => self.upsert(cluster, true),
            watcher::Event::InitDone => {
                for key in self.listing.complete() {
                    self.remove(&key);
                }
            }
            watcher::Event::Apply(cluster) => self.upsert(cluster, false),
            watcher::Event::Delete(cluster) => self.remove(&cluster.namespaced_name()),
        }
    }

    fn upsert(&mut self, cluster: Cluster, is_listed: bool) {
        let key = cluster.namespaced_name();
        if let Some(entry) = self.entries.get(&key) {
            if entry.cluster.metadata.uid != cluster.metadata.uid {
                // Deleted and made again, and the deletion was not seen.
                self.remove(&key);
            } else if !is_listed && entry.is_newer_than(&cluster) {
                return;
            }
        }
        self.listing.insert(&key);
        let cluster = Arc::new(cluster);
        let secret = secret_of(key.namespace(), &cluster.spec);
        let before = self.entries.get(&key).map(|entry| (entry.secret.clone(), Arc::clone(&entry.cluster)));
        let secret_before = before.as_ref().and_then(|(secret, _)| secret.clone());
        if secret != secret_before {
            if let Some(secret) = &secret {
                self.secrets.refer(secret);
                self.users.entry(secret.clone()).or_default().insert(key.clone());
            }
            self.release(&key, secret_before.as_ref());
        }
        let refused = ConfigProblem::of_revision(cluster.connected_at(), (self.clock)());
        let was_refused = self.entries.get(&key).and_then(|entry| entry.desired.refused_revision());
        let is_same = before.is_some_and(|(_, before)| before.spec == cluster.spec)
            && refused.as_ref().and_then(ConfigProblem::refused_revision) == was_refused;
        let now = (self.clock)();
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.take(cluster, now);
            entry.secret = secret;
        } else {
            let desired = self.desired(&cluster, secret.as_ref());
            self.entries.insert(key.clone(), Entry::new(cluster, secret, desired, now));
        }
        if is_same {
            self.reconcile(&key);
        } else {
            self.configure(&key);
        }
    }

    fn desired(&self, cluster: &Cluster, secret: Option<&NamespacedName>) -> Desired {
        if let Some(problem) = ConfigProblem::of_revision(cluster.connected_at(), (self.clock)()) {
            return Desired::Broken(Arc::new(problem));
        }
        let state = secret.map(|secret| self.secrets.state(secret)).unwrap_or_default();
        desired(&cluster.namespace().unwrap_or_default(), &cluster.spec, &state, &self.allowed)
    }

    /// What the spec asks for may have changed: the data of the Secret is needed again, where it was dropped.
    fn configure(&mut self, key: &NamespacedName) {
        if let Some(secret) = self.entries.get(key).and_then(|entry| entry.secret.as_ref()) {
            self.secrets.want(secret, key);
        }
        self.apply_desired(key);
    }

    fn apply_desired(&mut self, key: &NamespacedName) {
        let Some(entry) = self.entries.get(key) else { return };
        let desired = self.desired(&entry.cluster, entry.secret.as_ref());
        self.provider.note(key, &desired);
        if let Some(entry) = self.entries.get_mut(key) {
            (entry.desired, entry.is_fenced) = (desired, false);
            entry.learn((self.clock)());
        }
        self.reconcile(key);
    }

    /// Looks again at the revisions that were refused: the clock may have been corrected.
    fn recheck(&mut self) {
        let refused = self.entries.iter().filter(|(_, entry)| entry.desired.refused_revision().is_some());
        let keys: Vec<_> = refused.map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.configure(key);
        }
    }

    fn release(&mut self, key: &NamespacedName, secret: Option<&NamespacedName>) {
        let Some(secret) = secret else { return };
        if let Some(users) = self.users.get_mut(secret) {
            users.remove(key);
            if users.is_empty() {
                self.users.remove(secret);
            }
        }
        self.secrets.release(secret);
    }

    fn remove(&mut self, key: &NamespacedName) {
        self.listing.remove(key);
        let Some(entry) = self.entries.remove(key) else { return };
        if let Some(at) = entry.write_at {
            self.due.remove(&(at, key.clone()));
        }
        self.release(key, entry.secret.as_ref());
        self.provider.forget(key);
        // First the fence, so that no manager hands out a client of the cluster after it has forgotten it.
        self.provider.fleet().remove(key);
        self.registered.forget_cluster(key);
    }

    fn contexts_changed(&mut self, news: News<Kubeconfig>) {
        self.allowed.contexts = match news {
            News::Read(kubeconfig) => Contexts::Read(kubeconfig),
            News::Partly(kubeconfig, error) => {
                tracing::warn!(%error, "a file of the controller's kubeconfig keeps its last valid content, or has none");
                Contexts::Read(kubeconfig)
            }
            News::Failed(error) => {
                tracing::warn!(%error, "the controller's kubeconfig cannot be read");
                Contexts::Broken(error)
            }
        };
        let by_context =
            |entry: &Entry| matches!(entry.cluster.spec.connection.kind(), Some(ConnectionKind::Context(_)));
        let keys: Vec<_> = self.entries.iter().filter(|(_, it)| by_context(it)).map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.configure(key);
        }
    }

    fn secret_changed(&mut self, SecretChange { secret, only }: SecretChange) {
        let clusters = only.or_else(|| self.users.get(&secret).cloned()).unwrap_or_default();
        self.applying.add(secret, clusters);
    }

    fn apply_next(&mut self) {
        let Some(Turn { cluster, used }) = self.applying.next() else { return };
        self.apply_desired(&cluster);
        if let Some(secret) = used {
            self.secrets.used(&secret);
        }
    }

    fn fleet_changed(&mut self, changes: ClusterChanges) {
        let clusters = match changes {
            ClusterChanges::Changed(clusters) => clusters,
            // And whatever a later version may say.
            _ => self.entries.keys().cloned().collect(),
        };
        for key in &clusters {
            self.reconcile(key);
            self.note_served(key);
        }
    }

    /// Says to what is registered that a cluster is served, perhaps again.
    fn note_served(&self, key: &NamespacedName) {
        if self.provider.fleet().snapshot(key).is_some_and(|snapshot| snapshot.is_connected()) {
            self.registered.cluster_changed(key);
        }
    }

    fn reconcile_all(&mut self) {
        let keys: Vec<_> = self.entries.keys().cloned().collect();
        for key in &keys {
            self.reconcile(key);
        }
    }

    fn observed(&self, key: &NamespacedName) -> Option<Observed> {
        self.provider.fleet().snapshot(key).map(|snapshot| Observed::of(&snapshot))
    }

    /// Says it where this process has fenced the revision that the status names.
    fn note_fenced(&mut self, key: &NamespacedName) {
        let observed = self.observed(key);
        let Some(entry) = self.entries.get_mut(key) else { return };
        let fenced = entry.fenced(observed.as_ref());
        let was_fenced = std::mem::replace(&mut entry.is_fenced, fenced.is_some());
        match fenced {
            Some(revision) if !was_fenced => {
                self.provider.note_fenced(key, revision);
                tracing::warn!(cluster = %key, %revision, "the revision was revoked in this process: raise spec.epoch");
            }
            None if was_fenced => self.provider.note(key, &entry.desired),
            _ => {}
        }
    }

    fn decide(&self, key: &NamespacedName, entry: &Entry) -> Decision {
        let observed = self.observed(key);
        decide(&Input {
            cluster: &entry.cluster,
            desired: &entry.desired,
            applied: entry.applied.as_ref(),
            observed: observed.as_ref(),
            reset_to: entry.reset_to,
            latest_named: entry.latest_named,
            without_effect: entry.without_effect.as_ref(),
            outage_text: match entry.outage_written {
                Some(at) if at.elapsed() < OUTAGE_TEXT => OutageText::Fresh,
                _ => OutageText::Old,
            },
            role: if self.role.may_write() { Role::Writer } else { Role::Reader },
            now: (self.clock)(),
        })
    }

    fn reconcile(&mut self, key: &NamespacedName) {
        self.note_fenced(key);
        let Some(entry) = self.entries.get(key) else { return };
        let Decision { fleet: step, status } = self.decide(key, entry);
        let Some(entry) = self.entries.get_mut(key) else { return };
        let fleet = self.provider.fleet();
        let mut again = false;
        match step {
            FleetStep::Keep => {}
            FleetStep::Connect { base, config, reset } => {
                fleet.upsert(key.clone(), config);
                entry.applied = Some(base);
                if reset && !entry.is_resetting {
                    entry.is_resetting = true;
                    let (fleet, key, uid) = (fleet.clone(), key.clone(), entry.cluster.metadata.uid.clone());
                    self.resets.push(async move { (key.clone(), uid, fleet.reset(&key).await) }.boxed());
                }
            }
            FleetStep::Disconnect => {
                let is_docker = matches!(entry.desired, Desired::Docker(_)) && !entry.cluster.spec.paused;
                if is_docker {
                    entry.applied = None;
                }
                let was_there = fleet.remove(key);
                if is_docker && was_there {
                    // The revision stays, and what was built on it is dead.
                    self.registered.forget_cluster(key);
                }
                // What is to be connected joins anew.
                again = was_there && entry.applied.is_some();
            }
        }
        let entry_is_free = !entry.is_writing && entry.write_at.is_none();
        if status.is_some() && entry_is_free {
            let at = Instant::now() + self.delay;
            entry.write_at = Some(at);
            self.due.insert((at, key.clone()));
        }
        if again {
            self.reconcile(key);
        }
    }

    fn was_reset(&mut self, key: &NamespacedName, uid: Option<&String>, result: Result<ConnectedAt, ConnectError>) {
        let of_this = |entry: &&mut Entry| entry.cluster.metadata.uid.as_ref() == uid;
        let Some(entry) = self.entries.get_mut(key).filter(of_this) else { return };
        entry.is_resetting = false;
        match result {
            Ok(revision) => {
                entry.reset_to = Some(revision);
                self.reconcile(key);
            }
            // It is tried again when the fleet says that something has changed.
            Err(error) => tracing::warn!(cluster = %key, %error, "the reset failed"),
        }
    }
}
