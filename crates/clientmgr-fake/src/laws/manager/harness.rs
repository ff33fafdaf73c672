//! [`Harness`]: a connected cluster, two objects and calls with expectations, for every law of a manager.

use std::future::Future;

use clientmgr_core::{ClientError, ClientProvider, ObservedCluster, Refresh};

use crate::Gate;
use crate::laws::setup::{ClientOf, KeyOf, ProviderSetup, RevisionOf};
use crate::laws::subject::{Manager, ManagerSetup};

/// A cluster object of a setup.
pub(super) type Cluster<M> =
    ObservedCluster<KeyOf<<M as ManagerSetup>::Provider>, RevisionOf<<M as ManagerSetup>::Provider>>;
pub(super) type Object<M> = <<M as ManagerSetup>::Manager as Manager>::Object;
pub(super) type Key<M> = KeyOf<<M as ManagerSetup>::Provider>;
pub(super) type Client<M> = ClientOf<<M as ManagerSetup>::Provider>;
pub(super) type Answer<M> = Result<Client<M>, ClientError<Key<M>, RevisionOf<<M as ManagerSetup>::Provider>>>;

pub(super) struct Harness<M: ManagerSetup> {
    setup: M,
    pub(super) object: Object<M>,
    pub(super) other_object: Object<M>,
    /// Connected at the start.
    pub(super) east: Key<M>,
    /// Not known to the provider at the start.
    pub(super) west: Key<M>,
}

impl<M: ManagerSetup> Harness<M> {
    pub(super) async fn new(setup: M) -> Self {
        let [object, other_object] = setup.objects();
        let [east, west] = setup.provider_setup().clusters();
        setup.provider_setup().connect(&east).await;
        Self { setup, object, other_object, east, west }
    }

    pub(super) fn provider_setup(&self) -> &M::Provider {
        self.setup.provider_setup()
    }

    pub(super) fn gate(&self) -> &Gate<Key<M>> {
        self.setup.gate()
    }

    pub(super) fn manager(&self) -> &M::Manager {
        self.setup.manager()
    }

    /// Returns the cluster object of `cluster` with the current revision, if there is one.
    pub(super) async fn observe(&self, cluster: &Key<M>) -> Cluster<M> {
        let answer = self.provider_setup().provider().connection(cluster).await;
        ObservedCluster { key: cluster.clone(), revision: answer.ok().map(|connection| connection.revision) }
    }

    /// Returns the cluster object of `cluster` without a revision.
    pub(super) fn without_revision(cluster: &Key<M>) -> Cluster<M> {
        ObservedCluster { key: cluster.clone(), revision: None }
    }

    /// Replaces the connection of east. Returns the new cluster object.
    pub(super) async fn replace_east(&self) -> Cluster<M> {
        self.provider_setup().replace(&self.east).await;
        self.observe(&self.east).await
    }

    pub(super) fn refresh(&self, cluster: &Cluster<M>) -> Refresh {
        self.manager().refresh(&self.object, cluster)
    }

    pub(super) fn client<'a>(&'a self, cluster: &'a Cluster<M>) -> impl Future<Output = Answer<M>> + use<'a, M> {
        self.manager().client(&self.object, cluster)
    }

    /// Obtains a client of the connection that `cluster` names.
    pub(super) async fn obtain(&self, cluster: &Cluster<M>) -> Client<M> {
        expect_client(self.client(cluster).await, "the cluster object names the current connection")
    }

    pub(super) async fn obtain_for(&self, object: &Object<M>, cluster: &Cluster<M>) -> Client<M> {
        let answer = self.manager().client(object, cluster).await;
        expect_client(answer, "the cluster object names the current connection")
    }

    /// Asserts that `client` uses the current connection of `cluster`.
    pub(super) async fn assert_current(&self, client: &Client<M>, cluster: &Key<M>) {
        let Ok(current) = self.provider_setup().provider().connection(cluster).await else {
            panic!("cluster {cluster:?} has no connection, yet a client was returned");
        };
        let [handed_out, of_current] =
            [self.provider_setup().identify(client).await, self.provider_setup().identify(&current.client).await];
        assert_eq!(
            handed_out, of_current,
            "the returned client does not use the current connection of cluster {cluster:?}"
        );
    }

    #[track_caller]
    pub(super) fn assert_unchanged(&self, cluster: &Cluster<M>, because: &str) {
        assert_eq!(self.refresh(cluster), Refresh::Unchanged, "on {cluster:?}: {because}");
    }

    #[track_caller]
    pub(super) fn assert_reset(&self, cluster: &Cluster<M>, because: &str) {
        assert_eq!(self.refresh(cluster), Refresh::Reset, "on {cluster:?}: {because}");
    }
}

#[track_caller]
pub(super) fn expect_client<C, E: std::fmt::Debug>(answer: Result<C, E>, because: &str) -> C {
    match answer {
        Ok(client) => client,
        Err(error) => panic!("{because}, but no client was returned: {error:?}"),
    }
}

/// Asserts that a call with `cluster` failed because the cluster object is outdated.
#[track_caller]
pub(super) fn assert_outdated<M: ManagerSetup>(answer: Answer<M>, cluster: &Cluster<M>) {
    match answer {
        Err(ClientError::ClusterOutdated { cluster: key, observed, .. }) => {
            assert_eq!((&key, &observed), (&cluster.key, &cluster.revision), "the error is about another cluster");
        }
        Err(error) => panic!("{cluster:?} is outdated, and the error is {error:?}"),
        Ok(_) => panic!("{cluster:?} is outdated, and a client was returned"),
    }
}
