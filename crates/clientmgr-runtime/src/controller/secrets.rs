//! [`Secrets`]: the Secrets that Clusters refer to. A watch of metadata says which of them changed; only those are read.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use clientmgr_kube::NamespacedName;
use futures::future::BoxFuture;
use futures::stream::{AbortHandle, Abortable, BoxStream, FuturesUnordered, SelectAll};
use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};
use tokio::time::Instant;

use super::backoff::backoff;
use super::connection::SecretState;
use super::secret_data::SecretData;
use crate::watching::{Failure, Reports, is_refusal, jittered, watching, within};

/// So many Secrets are read at a time.
const READS: usize = 16;

/// When a Secret that may not be read is tried again, at first and at most: rights that are given raise no event. An API
/// server that just starts refuses everything until its roles are loaded.
const FORBIDDEN_RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));

/// Which Secrets one watch covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretWatch {
    /// One watch for each namespace that has Clusters with Secrets. The controller needs to list and watch all Secrets of
    /// that namespace. It sees the metadata of all, and reads those that are referred to.
    #[default]
    PerNamespace,
    /// One watch for each Secret. Rights can be given by name, and each watch is a request of its own.
    PerSecret,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Scope {
    namespace: String,
    /// All Secrets of the namespace if there is none.
    name: Option<String>,
}

struct Watch {
    handle: AbortHandle,
    /// How many of the Secrets are referred to.
    secrets: usize,
    /// Whether it has listed what there is.
    is_synced: bool,
    /// What it has listed so far.
    listed: HashSet<NamespacedName>,
    /// How often in a row it was refused.
    refusals: u32,
    /// Which of its failures were reported.
    reports: Reports,
}

/// Whether a Secret is being read.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Reading {
    #[default]
    No,
    UnderWay,
    /// It has changed since the read began.
    Outdated,
}

#[derive(Default)]
struct Referred {
    clusters: usize,
    state: SecretState,
    /// The hash of the data that was read last: the data itself would be thousands of kubeconfigs in memory.
    content: u64,
    /// The Clusters that wait for the data, though it may be the same as before.
    wanted: BTreeSet<NamespacedName>,
    /// The resource version that was read.
    version: Option<String>,
    reading: Reading,
    /// Its watch says that it exists.
    exists: bool,
    failures: u32,
    /// How often in a row it was forbidden to read it.
    refusals: u32,
    retry_at: Option<Instant>,
}

type WatchEvent = Result<watcher::Event<PartialObjectMeta<Secret>>, watcher::Error>;
type Read = (NamespacedName, Result<Option<Secret>, kube::Error>);

/// What is known of a Secret has changed.
#[derive(Debug)]
pub(super) struct SecretChange {
    pub(super) secret: NamespacedName,
    /// The Clusters that it concerns, where it does not concern all that refer to it.
    pub(super) only: Option<BTreeSet<NamespacedName>>,
}

/// The Secrets that are referred to.
pub(super) struct Secrets {
    client: Client,
    watch: SecretWatch,
    watches: HashMap<Scope, Watch>,
    events: SelectAll<BoxStream<'static, (Scope, WatchEvent)>>,
    referred: HashMap<NamespacedName, Referred>,
    queue: VecDeque<NamespacedName>,
    reads: FuturesUnordered<BoxFuture<'static, Read>>,
    /// Which failures of reading were reported.
    read_reports: Reports,
    /// When the first of the Secrets that could not be read is tried again, at the earliest.
    retry_at: Option<Instant>,
    /// Changed, and not yet returned.
    changed: VecDeque<SecretChange>,
    hasher: RandomState,
}

impl Secrets {
    pub(super) fn new(client: Client, watch: SecretWatch) -> Self {
        Self {
            client,
            watch,
            watches: HashMap::new(),
            events: SelectAll::new(),
            referred: HashMap::new(),
            queue: VecDeque::new(),
            reads: FuturesUnordered::new(),
            read_reports: Reports::default(),
            retry_at: None,
            changed: VecDeque::new(),
            hasher: RandomState::new(),
        }
    }

    /// Drops the data of a Secret, which all Clusters have used: unless it has changed since.
    pub(super) fn used(&mut self, secret: &NamespacedName) {
        if self.changed.iter().any(|change| change.secret == *secret) {
            return;
        }
        if let Some(referred) = self.referred.get_mut(secret)
            && matches!(referred.state, SecretState::Read(_))
        {
            referred.state = SecretState::Used;
        }
    }

    /// `cluster` needs the data of a Secret. Reads it again where it was dropped.
    pub(super) fn want(&mut self, secret: &NamespacedName, cluster: &NamespacedName) {
        if let Some(referred) = self.referred.get_mut(secret)
            && matches!(referred.state, SecretState::Used)
        {
            referred.wanted.insert(cluster.clone());
            self.read(secret);
        }
    }

    /// Returns what is known of a Secret.
    pub(super) fn state(&self, secret: &NamespacedName) -> SecretState {
        self.referred.get(secret).map(|referred| referred.state.clone()).unwrap_or_default()
    }

    /// A Cluster refers to `secret`.
    pub(super) fn refer(&mut self, secret: &NamespacedName) {
        let referred = self.referred.entry(secret.clone()).or_default();
        referred.clusters += 1;
        if referred.clusters > 1 {
            return;
        }
        let scope = self.scope(secret);
        if let Some(watch) = self.watches.get_mut(&scope) {
            watch.secrets += 1;
            if watch.is_synced {
                self.read(secret);
            }
            return;
        }
        let config = match &scope.name {
            Some(name) => watcher::Config::default().fields(&format!("metadata.name={name}")),
            None => watcher::Config::default(),
        };
        let api = |client| Api::<PartialObjectMeta<Secret>>::namespaced(client, &scope.namespace);
        let (handle, registration) = AbortHandle::new_pair();
        let stream = Abortable::new(watching(&self.client, api, config), registration);
        let of_scope = scope.clone();
        self.events.push(stream.map(move |event| (of_scope.clone(), event)).boxed());
        let (listed, reports) = (HashSet::new(), Reports::default());
        self.watches.insert(scope, Watch { handle, secrets: 1, is_synced: false, listed, refusals: 0, reports });
    }

    /// A Cluster no longer refers to `secret`.
    pub(super) fn release(&mut self, secret: &NamespacedName) {
        let Some(referred) = self.referred.get_mut(secret) else { return };
        referred.clusters -= 1;
        if referred.clusters > 0 {
            return;
        }
        self.referred.remove(secret);
        let scope = self.scope(secret);
        if let Some(watch) = self.watches.get_mut(&scope) {
            watch.secrets -= 1;
            if watch.secrets == 0 {
                watch.handle.abort();
                self.watches.remove(&scope);
            }
        }
    }

    fn scope(&self, secret: &NamespacedName) -> Scope {
        let name = (self.watch == SecretWatch::PerSecret).then(|| secret.name().to_owned());
        Scope { namespace: secret.namespace().to_owned(), name }
    }

    /// Waits until what is known of a Secret has changed. It never ends otherwise.
    ///
    /// # Cancel safety
    ///
    /// A dropped future loses nothing.
    pub(super) async fn changed(&mut self) -> SecretChange {
        loop {
            if let Some(changed) = self.changed.pop_front() {
                return changed;
            }
            let retry_at = self.retry_at;
            let retry = async {
                match retry_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some((scope, event)) = self.events.next() => self.watched(&scope, event),
                Some((secret, result)) = self.reads.next() => self.has_read(&secret, result),
                () = retry => self.read_due(),
            }
        }
    }

    fn watched(&mut self, scope: &Scope, event: WatchEvent) {
        let Some(watch) = self.watches.get_mut(scope) else { return };
        let key = |object: &PartialObjectMeta<Secret>| NamespacedName::new(&scope.namespace, &object.name_any());
        match event {
            Ok(watcher::Event::Init) => watch.listed.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                let secret = key(&object);
                if self.referred.contains_key(&secret) {
                    watch.listed.insert(secret.clone());
                    self.seen(&secret, &object);
                }
            }
            Ok(watcher::Event::InitDone) => {
                (watch.is_synced, watch.refusals) = (true, 0);
                watch.reports.clear();
                let listed = std::mem::take(&mut watch.listed);
                // A Secret that is referred to since the list began may exist all the same: the read says so.
                for secret in self.covered(scope) {
                    if listed.contains(&secret) {
                        continue;
                    }
                    self.is_gone(&secret);
                    if self.state(&secret) != SecretState::NotFound {
                        self.read(&secret);
                    }
                }
            }
            Ok(watcher::Event::Apply(object)) => self.seen(&key(&object), &object),
            // A read under way may still find it: the next one does not.
            Ok(watcher::Event::Delete(object)) => {
                let secret = key(&object);
                self.is_gone(&secret);
                self.read(&secret);
            }
            Err(error) => {
                let what = format_args!("Secrets in namespace {}", scope.namespace);
                watch.reports.log_watch(&error, what, Failure::of_watch(&error));
                watch.refusals = if is_refusal(&error) { watch.refusals + 1 } else { 0 };
                let (is_first, is_forbidden) = (watch.refusals == 1, watch.refusals > 1);
                for secret in self.covered(scope) {
                    match (self.state(&secret), is_forbidden) {
                        // Changes are no longer seen. Connections stay in use, and the condition shows it.
                        (_, true) => self.set(&secret, SecretState::Forbidden, None),
                        // An API server that just starts refuses everything until its roles are loaded.
                        (_, false) if is_first => {}
                        // What is known counts until the hub answers again.
                        (SecretState::Read(_) | SecretState::Used | SecretState::NotFound, false) => {}
                        (_, false) => self.set(&secret, SecretState::Unavailable, None),
                    }
                }
            }
        }
    }

    /// The Secrets that are referred to and covered by a watch.
    fn covered(&self, scope: &Scope) -> Vec<NamespacedName> {
        if let Some(name) = &scope.name {
            let secret = NamespacedName::new(&scope.namespace, name);
            return if self.referred.contains_key(&secret) { vec![secret] } else { Vec::new() };
        }
        let all = self.referred.keys();
        all.filter(|secret| secret.namespace() == scope.namespace).cloned().collect()
    }

    /// A Secret exists in this version.
    fn seen(&mut self, secret: &NamespacedName, object: &PartialObjectMeta<Secret>) {
        let version = object.resource_version();
        let Some(referred) = self.referred.get_mut(secret) else { return };
        referred.exists = true;
        if referred.version.is_none() || referred.version != version {
            self.read(secret);
        }
    }

    /// The watch says that a Secret does not exist.
    fn is_gone(&mut self, secret: &NamespacedName) {
        if let Some(referred) = self.referred.get_mut(secret) {
            referred.exists = false;
        }
    }

    fn read(&mut self, secret: &NamespacedName) {
        let Some(referred) = self.referred.get_mut(secret) else { return };
        referred.retry_at = None;
        if referred.reading != Reading::No {
            referred.reading = Reading::Outdated;
            return;
        }
        referred.reading = Reading::UnderWay;
        self.queue.push_back(secret.clone());
        self.start_reads();
    }

    fn start_reads(&mut self) {
        while self.reads.len() < READS
            && let Some(secret) = self.queue.pop_front()
        {
            let api: Api<Secret> = Api::namespaced(self.client.clone(), secret.namespace());
            self.reads.push(async move { (secret.clone(), within(api.get_opt(secret.name())).await) }.boxed());
        }
    }

    fn read_due(&mut self) {
        let now = Instant::now();
        let is_due = |referred: &Referred| referred.retry_at.is_some_and(|at| at <= now);
        let due: Vec<_> = self.referred.iter().filter(|(_, it)| is_due(it)).map(|(secret, _)| secret.clone()).collect();
        for secret in &due {
            self.read(secret);
        }
        self.retry_at = self.referred.values().filter_map(|referred| referred.retry_at).min();
    }

    fn has_read(&mut self, secret: &NamespacedName, result: Result<Option<Secret>, kube::Error>) {
        self.start_reads();
        let Some(referred) = self.referred.get_mut(secret) else { return };
        let again = std::mem::take(&mut referred.reading) == Reading::Outdated;
        let is_refused = match result {
            Ok(Some(found)) => {
                (referred.failures, referred.refusals) = (0, 0);
                let version = found.resource_version();
                let data = found.data.unwrap_or_default();
                let content = self.hasher.hash_one(data.iter().map(|(key, value)| (key, &value.0)).collect::<Vec<_>>());
                let wanted = std::mem::take(&mut referred.wanted);
                let is_same = std::mem::replace(&mut referred.content, content) == content;
                let has_all = is_same && matches!(referred.state, SecretState::Used);
                if has_all && wanted.is_empty() {
                    referred.version = version;
                } else {
                    let only = has_all.then_some(wanted);
                    self.set_for(only, secret, SecretState::Read(Arc::new(SecretData::new(data))), version);
                }
                None
            }
            // What stands before the API server may answer so while it restarts.
            Ok(None) if referred.exists => {
                if referred.failures == 0 {
                    tracing::warn!(%secret, "the Secret is not found, and its watch says that it exists: it is read again");
                }
                Some(false)
            }
            Ok(None) => {
                (referred.failures, referred.refusals) = (0, 0);
                referred.wanted.clear();
                self.set(secret, SecretState::NotFound, None);
                None
            }
            Err(error) => {
                let failure = Failure::of(&error);
                self.read_reports.log(&failure, format_args!("reading Secret {secret}"), &failure);
                Some(matches!(&error, kube::Error::Api(status) if status.code == 403))
            }
        };
        if let Some(is_refused) = is_refused {
            self.read_failed(secret, is_refused);
        }
        if again {
            self.read(secret);
        }
    }

    fn read_failed(&mut self, secret: &NamespacedName, is_refused: bool) {
        let Some(referred) = self.referred.get_mut(secret) else { return };
        referred.failures += 1;
        referred.refusals = if is_refused { referred.refusals + 1 } else { 0 };
        let (first, longest) = FORBIDDEN_RETRY;
        let delay = jittered(match referred.refusals {
            0 => backoff(referred.failures),
            refusals => first.saturating_mul(2_u32.saturating_pow(refusals - 1)).min(longest),
        });
        let is_forbidden = referred.refusals > 1;
        let at = Instant::now() + delay;
        referred.retry_at = Some(at);
        self.retry_at = Some(self.retry_at.map_or(at, |first| first.min(at)));
        if is_forbidden {
            referred.wanted.clear();
        }
        match (&referred.state, is_forbidden) {
            (_, true) => self.set(secret, SecretState::Forbidden, None),
            // The first refusal: the retry says whether it stays so.
            (_, false) if is_refused => {}
            (SecretState::Read(_), false) => {}
            (SecretState::Used, false) if referred.wanted.is_empty() => {}
            (_, false) => self.set(secret, SecretState::Unavailable, None),
        }
    }

    fn set(&mut self, secret: &NamespacedName, state: SecretState, version: Option<String>) {
        self.set_for(None, secret, state, version);
    }

    fn set_for(
        &mut self,
        only: Option<BTreeSet<NamespacedName>>,
        secret: &NamespacedName,
        state: SecretState,
        version: Option<String>,
    ) {
        let Some(referred) = self.referred.get_mut(secret) else { return };
        referred.version = version;
        if referred.state != state {
            referred.state = state;
            self.changed.push_back(SecretChange { secret: secret.clone(), only });
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("referred", &self.referred.len()).finish_non_exhaustive()
    }
}
