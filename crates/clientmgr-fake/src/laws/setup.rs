//! What a law needs of its subject: the traits that a test implements to have the laws run.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use clientmgr_core::{
    BoundError, BoundState, BoundStates, ClientError, ClientManager, ClientProvider, Key, ObservedCluster, Refresh,
    Revision,
};

use crate::Gate;

/// The client of a set-up's provider.
pub type ClientOf<S> = <<S as ProviderSetup>::Provider as ClientProvider>::Client;
/// The cluster key of a set-up's provider.
pub type KeyOf<S> = <<S as ProviderSetup>::Provider as ClientProvider>::Key;
/// The revision of a set-up's provider.
pub type RevisionOf<S> = <<S as ProviderSetup>::Provider as ClientProvider>::Revision;

/// A provider, and the hand that changes its connections.
///
/// # Contract
///
/// Whatever steers ([`connect`](Self::connect), [`replace`](Self::replace), [`fail`](Self::fail),
/// [`recover`](Self::recover), [`remove`](Self::remove)) completes when the provider answers accordingly, and not
/// before. Nothing else changes the connections meanwhile. It panics where it fails.
///
/// At the start the provider knows none of the clusters.
pub trait ProviderSetup {
    /// The provider under test.
    type Provider: ClientProvider;
    /// What a client can be told by: a number it carries, or what the server at its other end calls itself.
    type Identity: PartialEq + fmt::Debug;

    /// The provider.
    fn provider(&self) -> &Self::Provider;

    /// Two clusters that can be connected.
    fn clusters(&self) -> [KeyOf<Self>; 2];

    /// A cluster that is never connected.
    fn unknown_cluster(&self) -> KeyOf<Self>;

    /// Connects a cluster that the provider does not know.
    fn connect(&self, cluster: &KeyOf<Self>) -> impl Future<Output = ()>;

    /// Puts another connection in the place of the one that stands.
    fn replace(&self, cluster: &KeyOf<Self>) -> impl Future<Output = ()>;

    /// Makes a connected cluster fail: the provider has an error for it, and still knows it.
    fn fail(&self, cluster: &KeyOf<Self>) -> impl Future<Output = ()>;

    /// Connects a cluster that fails. Whether by the old connection or by a new one is the provider's choice.
    fn recover(&self, cluster: &KeyOf<Self>) -> impl Future<Output = ()>;

    /// Takes a cluster away, connected or failing: the provider knows it no more.
    fn remove(&self, cluster: &KeyOf<Self>) -> impl Future<Output = ()>;

    /// Who `client` is. Only asked while its connection stands.
    ///
    /// Two clients of one connection are the same; those of two clusters differ. Two connections to one cluster may be
    /// told apart or not.
    fn identify(&self, client: &ClientOf<Self>) -> impl Future<Output = Self::Identity>;
}

/// What the laws ask of a manager: that of `clientmgr-core`, one built on it, or another by the same rules.
pub trait Manager {
    /// What an object is known by.
    type Object: Key;
    /// What is handed out.
    type Client;
    /// What a cluster is known by.
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

/// A manager over a provider that can be steered. [`Managed`](super::Managed) is one for every [`ProviderSetup`].
pub trait ManagerSetup {
    /// Steers the provider that the manager asks.
    type Provider: ProviderSetup;
    /// The manager under test.
    type Manager: Manager<Client = ClientOf<Self::Provider>, Key = KeyOf<Self::Provider>, Revision = RevisionOf<Self::Provider>>;

    /// What steers the provider. To ask that provider itself does not pass the [`gate`](Self::gate).
    fn steering(&self) -> &Self::Provider;

    /// The manager. It remembers nothing at the start.
    fn manager(&self) -> &Self::Manager;

    /// The gate that every question of the manager to its provider passes.
    fn gate(&self) -> &Gate<KeyOf<Self::Provider>>;

    /// Two objects.
    fn objects(&self) -> [<Self::Manager as Manager>::Object; 2];
}

/// What the laws ask of a map of bound states, for states of any type.
pub trait States<S: BoundState> {
    /// What an object is known by.
    type Object: Key;
    /// What a state is built on.
    type Client;
    /// What a cluster is known by.
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

/// Bound states over a provider that can be steered. [`Bound`](super::Bound) is one for every [`ProviderSetup`].
pub trait BoundSetup {
    /// Steers the provider that the states' clients come from.
    type Provider: ProviderSetup;
    /// The map under test, of the state that the laws keep in it.
    type States: States<
            super::bound::Probe,
            Client = ClientOf<Self::Provider>,
            Key = KeyOf<Self::Provider>,
            Revision = RevisionOf<Self::Provider>,
        >;

    /// What steers the provider. To ask that provider itself does not pass the [`gate`](Self::gate).
    fn steering(&self) -> &Self::Provider;

    /// The map. It holds no state at the start.
    fn states(&self) -> &Self::States;

    /// The gate that every question of the map to its provider passes.
    fn gate(&self) -> &Gate<KeyOf<Self::Provider>>;

    /// Two objects.
    fn objects(&self) -> [<Self::States as States<super::bound::Probe>>::Object; 2];
}
