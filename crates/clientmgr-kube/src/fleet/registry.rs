//! The clusters of a fleet by key, and the way to the task of each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clientmgr_core::NamespacedName;
use foldhash::fast::RandomState;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::context::Context;
use super::member::event::Request;
use super::member::gate::Gate;
use super::member::mailbox::{Answer, Mailbox, Message};
use super::member::observe;
use super::member::published::Published;
use super::member::restarts::Restarts;
use super::member::task::Task;
use super::shared::Shared;
use crate::client::RevokedReason;
use crate::config::ClusterConfig;
use crate::error::{ConnectError, Failure};

/// The clusters of a fleet.
#[derive(Default)]
pub(super) struct Registry {
    clusters: Shared<Clusters>,
    /// Held by a caller that shuts down, until every handle is fenced.
    ending: Mutex<()>,
}

#[derive(Default)]
struct Clusters {
    members: HashMap<NamespacedName, Arc<Member>, RandomState>,
    /// Members that were removed and whose task may not have ended yet. A successor waits for it: else the fence of the
    /// old one might be pulled on a handle that the new one serves.
    leaving: HashMap<NamespacedName, Arc<Member>, RandomState>,
    is_shut_down: bool,
}

/// One cluster, as callers see it.
pub(super) struct Member {
    key: NamespacedName,
    published: Arc<Published>,
    gate: Arc<Gate>,
    /// The configuration that was sent last; none once the cluster was removed. Held while one is sent, so that the task gets
    /// them in this order.
    config: Mutex<Option<Sent>>,
    mailbox: Mailbox,
    task: Mutex<Option<JoinHandle<()>>>,
    restarts: Restarts,
}

/// A configuration that was sent, and its number.
struct Sent {
    config: ClusterConfig,
    number: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Member {
    /// A cluster whose task runs on `runtime`; without one it is unavailable.
    fn start(
        key: NamespacedName,
        config: ClusterConfig,
        context: &Arc<Context>,
        runtime: Option<Handle>,
        predecessor: Option<Arc<Self>>,
    ) -> Self {
        // Without a bound: the task waits for nothing but its next message while it handles one, and an equal configuration is
        // not sent.
        let (mailbox, messages) = mpsc::unbounded_channel();
        let before = predecessor.as_ref().filter(|member| member.published.has_panicked());
        let restarts = Restarts::after(before.map(|member| member.restarts), context.clock.mono());
        let delay = restarts.delay();
        let failure = match &runtime {
            None => Failure::NoRuntime,
            Some(_) if delay.is_zero() => Failure::Connecting,
            Some(_) => Failure::Panicked,
        };
        let published = Arc::new(Published::new(key.clone(), failure, context.clock.wall()));
        let gate = Arc::new(Gate::default());
        let task = runtime.map(|runtime| {
            let shared = (Arc::clone(context), Arc::clone(&published), Arc::clone(&gate));
            let task = Task::new(key.clone(), config.clone(), shared, mailbox.downgrade());
            // Boxed: a future holds what is moved into it twice.
            let task = Box::new(task);
            let cluster = key.clone();
            let run = async move {
                if let Some(predecessor) = predecessor {
                    predecessor.join().await;
                }
                // Made here: a subscriber must not run under the registry's lock.
                let span = observe::member(&cluster);
                task.run(messages, delay).instrument(span).await;
            };
            context.settings.tasks.spawn_on(run, &runtime)
        });
        let config = Mutex::new(Some(Sent { config, number: 0 }));
        Self { key, published, gate, config, mailbox, task: Mutex::new(task), restarts }
    }

    pub(super) fn key(&self) -> &NamespacedName {
        &self.key
    }

    pub(super) fn published(&self) -> &Published {
        &self.published
    }

    /// Sends another configuration; an equal one changes nothing. False where no task is there to take it.
    fn configure(&self, config: &ClusterConfig) -> bool {
        if self.mailbox.is_closed() {
            return false;
        }
        let mut last = lock(&self.config);
        let Some(sent) = last.as_mut() else { return false };
        if sent.config == *config {
            return true;
        }
        if sent.config.fingerprint() != config.fingerprint() {
            sent.number = self.published.configured();
        }
        sent.config = config.clone();
        self.mailbox.send(Message::Config(Box::new(config.clone()), sent.number)).is_ok()
    }

    /// Asks the task.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up waiting; what was asked for happens all the same.
    pub(super) async fn ask(&self, what: Request) -> Answer {
        let (reply, answer) = oneshot::channel();
        if self.mailbox.send(Message::Ask(what, reply)).is_ok()
            && let Ok(answer) = answer.await
        {
            return answer;
        }
        // There is no task: what is published says why.
        match self.published.serving() {
            Err(error) => Err(error),
            Ok(_) => Err(ConnectError::new(self.key.clone(), Failure::NoRuntime)),
        }
    }

    pub(super) fn send(&self, message: Message) {
        // Fails where the task has ended.
        let _ = self.mailbox.send(message);
    }

    fn has_ended(&self) -> bool {
        lock(&self.task).as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until the task has ended.
    async fn join(&self) {
        let task = lock(&self.task).take();
        if let Some(task) = task {
            // A task that panicked has ended as well.
            let _ = task.await;
        }
    }
}

impl Registry {
    /// Reads the member of `key`, if there is one. `read` runs under the lock.
    pub(super) fn read<T>(&self, key: &NamespacedName, read: impl FnOnce(Option<&Member>) -> T) -> T {
        self.clusters.read(|clusters| read(clusters.members.get(key).map(|member| &**member)))
    }

    pub(super) fn find(&self, key: &NamespacedName) -> Result<Arc<Member>, ConnectError> {
        self.clusters.read(|clusters| match clusters.members.get(key) {
            Some(member) => Ok(Arc::clone(member)),
            None if clusters.is_shut_down => Err(ConnectError::new(key.clone(), Failure::ShutDown)),
            None => Err(ConnectError::new(key.clone(), Failure::Unknown)),
        })
    }

    /// Adds a cluster, or sends another configuration to one that is there. Returns whether it was added.
    pub(super) fn upsert(&self, key: NamespacedName, config: &ClusterConfig, context: &Arc<Context>) -> bool {
        let is_done = self.clusters.read(|clusters| {
            clusters.is_shut_down || clusters.members.get(&key).is_some_and(|member| member.configure(config))
        });
        if is_done {
            return false;
        }
        // Not under the lock: to learn whether a runtime serves takes a task and a timer.
        let runtime = context.runtime();
        let event = key.clone();
        let added = self.clusters.write(|clusters| {
            if clusters.is_shut_down {
                return false;
            }
            // It may have been added meanwhile. One without a task stays so without a runtime.
            let current = clusters.members.get(&key);
            if current.is_some_and(|member| member.configure(config) || runtime.is_none()) {
                return false;
            }
            let predecessor = current.cloned().or_else(|| clusters.leaving.remove(&key));
            let member = Member::start(key.clone(), config.clone(), context, runtime, predecessor);
            clusters.members.insert(key, Arc::new(member));
            true
        });
        if added {
            context.events.changed(&event);
        }
        added
    }

    /// Removes a cluster and fences its handle; its task ends. Returns whether there was one.
    pub(super) fn remove(&self, key: &NamespacedName) -> bool {
        let removed = self.clusters.write(|clusters| {
            clusters.leaving.retain(|_, member| !member.has_ended());
            let member = clusters.members.remove(key)?;
            member.send(Message::Removed);
            clusters.leaving.insert(key.clone(), Arc::clone(&member));
            Some(member)
        });
        // Without the lock: a fence ends connections.
        removed.is_some_and(|member| {
            member.gate.close(RevokedReason::Removed);
            // The member stays until its task has ended. Its credentials do not.
            *lock(&member.config) = None;
            true
        })
    }

    /// All members, in the order of their keys.
    pub(super) fn all(&self) -> Vec<Arc<Member>> {
        let mut members: Vec<_> = self.clusters.read(|clusters| clusters.members.values().map(Arc::clone).collect());
        members.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        members
    }

    pub(super) fn len(&self) -> usize {
        self.clusters.read(|clusters| clusters.members.len())
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.clusters.read(|clusters| clusters.is_shut_down)
    }

    /// Fences all handles; the tasks of all members end. From now on nothing can be added.
    ///
    /// A second caller waits for the first: it closes the connections next, and a watch must end with the fence's reason and
    /// not with a connection that broke.
    pub(super) fn shut_down(&self) {
        let _ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        let members = self.clusters.write(|clusters| {
            clusters.is_shut_down = true;
            clusters.leaving.clear();
            std::mem::take(&mut clusters.members)
        });
        for member in members.values() {
            member.send(Message::ShutDown);
            member.gate.close(RevokedReason::ShutDown);
        }
    }
}
