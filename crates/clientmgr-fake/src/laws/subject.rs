//! What the laws need of a manager or a map of bound states. Unstable: only the tests that break the laws implement these.

use std::future::Future;
use std::sync::Arc;

use clientmgr_core::{
    BoundError, BoundState, BoundStates, ClientError, ClientManager, ClientProvider, Key, ObservedCluster, Refresh,
    Revision,
};

use super::probe::Probe;
use super::setup::{ClientOf, KeyOf, ProviderSetup, RevisionOf};
use crate::Gate;

/// What the laws call on a manager.
pub trait Manager {
    /// The key of an object.
    type Object: Key;
    /// A client.
    type Client;
    /// The key of a cluster.
    type Key: Key;
    /// The identity of a connection.
    type Revision: Revision;

    /// As [`ClientManager::refresh`].
    fn refresh(&self, object: &Self::Object, cluster: &ObservedCluster<Self::Key, Self::Revision>) -> Refresh;

    /// As [`ClientManager::client`].
    fn client(
        &self,
        object: &Self::Object,
        cluster: &ObservedCluster<Self::Key, Self::Revision>,
    ) -> impl Future<Output = Result<Self::Client, ClientError<Self::Key, Self::Revision>>>;

    /// As [`ClientManager::forget`].
    fn forget(&self, object: &Self::Object);

    /// As [`ClientManager::retain`].
    fn retain(&self, object: &Self::Object, keep: impl Fn(&Self::Key) -> bool);

    /// As [`ClientManager::retain_objects`].
    fn retain_objects(&self, keep: impl Fn(&Self::Object) -> bool);

    /// As [`ClientManager::forget_cluster`].
    fn forget_cluster(&self, cluster: &Self::Key);

    /// As [`ClientManager::objects`].
    fn remembered(&self) -> usize;
}

impl<P: ClientProvider, O: Key> Manager for ClientManager<P, O> {
    type Object = O;
    type Client = P::Client;
    type Key = P::Key;
    type Revision = P::Revision;

    fn refresh(&self, object: &O, cluster: &ObservedCluster<P::Key, P::Revision>) -> Refresh {
        self.refresh(object, cluster)
    }

    async fn client(
        &self,
        object: &O,
        cluster: &ObservedCluster<P::Key, P::Revision>,
    ) -> Result<P::Client, ClientError<P::Key, P::Revision>> {
        self.client(object, cluster).await
    }

    fn forget(&self, object: &O) {
        self.forget(object);
    }

    fn retain(&self, object: &O, keep: impl Fn(&P::Key) -> bool) {
        self.retain(object, keep);
    }

    fn retain_objects(&self, keep: impl Fn(&O) -> bool) {
        self.retain_objects(keep);
    }

    fn forget_cluster(&self, cluster: &P::Key) {
        self.forget_cluster(cluster);
    }

    fn remembered(&self) -> usize {
        self.objects()
    }
}

/// A manager over a provider that a law can change. `Managed` is one for every [`ProviderSetup`].
pub trait ManagerSetup {
    /// Changes the connections of the provider that the manager asks.
    type Provider: ProviderSetup;
    /// The manager under test.
    type Manager: Manager<Client = ClientOf<Self::Provider>, Key = KeyOf<Self::Provider>, Revision = RevisionOf<Self::Provider>>;

    /// Returns the setup of the provider. Calls made directly on its provider bypass the [`gate`](Self::gate).
    fn provider_setup(&self) -> &Self::Provider;

    /// Returns the manager, which remembers nothing at the start.
    fn manager(&self) -> &Self::Manager;

    /// Returns the gate that every request of the manager to its provider passes.
    fn gate(&self) -> &Gate<KeyOf<Self::Provider>>;

    /// Returns two objects.
    fn objects(&self) -> [<Self::Manager as Manager>::Object; 2];
}

/// What the laws call on a map of bound states, for states of any type.
pub trait States<S: BoundState> {
    /// The key of an object.
    type Object: Key;
    /// A client.
    type Client;
    /// The key of a cluster.
    type Key: Key;
    /// The identity of a connection.
    type Revision: Revision;

    /// As [`BoundStates::get_or_build`].
    fn get_or_build<E, F>(
        &self,
        object: &Self::Object,
        cluster: &ObservedCluster<Self::Key, Self::Revision>,
        build: impl FnOnce(Self::Client) -> F,
    ) -> impl Future<Output = Result<Arc<S>, BoundError<E, Self::Key, Self::Revision>>>
    where
        F: Future<Output = Result<S, E>>;

    /// As [`BoundStates::discard`].
    fn discard(&self, object: &Self::Object, cluster: &Self::Key, broken: &Arc<S>) -> bool;

    /// As [`BoundStates::forget`].
    fn forget(&self, object: &Self::Object);

    /// As [`BoundStates::retain`].
    fn retain(&self, object: &Self::Object, keep: impl Fn(&Self::Key) -> bool);

    /// As [`BoundStates::retain_objects`].
    fn retain_objects(&self, keep: impl Fn(&Self::Object) -> bool);

    /// As [`BoundStates::forget_cluster`].
    fn forget_cluster(&self, cluster: &Self::Key);

    /// As [`BoundStates::objects`].
    fn remembered(&self) -> usize;
}

impl<P: ClientProvider, O: Key, S: BoundState> States<S> for BoundStates<P, O, S> {
    type Object = O;
    type Client = P::Client;
    type Key = P::Key;
    type Revision = P::Revision;

    async fn get_or_build<E, F>(
        &self,
        object: &O,
        cluster: &ObservedCluster<P::Key, P::Revision>,
        build: impl FnOnce(P::Client) -> F,
    ) -> Result<Arc<S>, BoundError<E, P::Key, P::Revision>>
    where
        F: Future<Output = Result<S, E>>,
    {
        self.get_or_build(object, cluster, build).await
    }

    fn discard(&self, object: &O, cluster: &P::Key, broken: &Arc<S>) -> bool {
        self.discard(object, cluster, broken)
    }

    fn forget(&self, object: &O) {
        self.forget(object);
    }

    fn retain(&self, object: &O, keep: impl Fn(&P::Key) -> bool) {
        self.retain(object, keep);
    }

    fn retain_objects(&self, keep: impl Fn(&O) -> bool) {
        self.retain_objects(keep);
    }

    fn forget_cluster(&self, cluster: &P::Key) {
        self.forget_cluster(cluster);
    }

    fn remembered(&self) -> usize {
        self.objects()
    }
}

/// Bound states over a provider that a law can change. `Bound` is one for every [`ProviderSetup`].
pub trait BoundSetup {
    /// Changes the connections of the provider that the states' clients come from.
    type Provider: ProviderSetup;
    /// The map under test, of the state that the laws keep in it.
    type States: States<
            Probe,
            Client = ClientOf<Self::Provider>,
            Key = KeyOf<Self::Provider>,
            Revision = RevisionOf<Self::Provider>,
        >;

    /// Returns the setup of the provider. Calls made directly on its provider bypass the [`gate`](Self::gate).
    fn provider_setup(&self) -> &Self::Provider;

    /// Returns the map, which contains no state at the start.
    fn states(&self) -> &Self::States;

    /// Returns the gate that every request of the map to its provider passes.
    fn gate(&self) -> &Gate<KeyOf<Self::Provider>>;

    /// Returns two objects.
    fn objects(&self) -> [<Self::States as States<Probe>>::Object; 2];
}
