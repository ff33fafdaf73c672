//! [`Harness`]: a connected cluster, two objects and calls with expectations, for every law of bound states.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::sync::Arc;

use clientmgr_core::{BoundError, ClientProvider, ObservedCluster};

use crate::Gate;
use crate::laws::probe::{Counts, Probe};
use crate::laws::setup::{ClientOf, KeyOf, ProviderSetup, RevisionOf};
use crate::laws::subject::{BoundSetup, States};

pub(super) type Cluster<B> =
    ObservedCluster<KeyOf<<B as BoundSetup>::Provider>, RevisionOf<<B as BoundSetup>::Provider>>;
pub(super) type Object<B> = <<B as BoundSetup>::States as States<Probe>>::Object;
pub(super) type Key<B> = KeyOf<<B as BoundSetup>::Provider>;
pub(super) type Client<B> = ClientOf<<B as BoundSetup>::Provider>;
pub(super) type Built<B, E = Infallible> =
    Result<Arc<Probe>, BoundError<E, Key<B>, RevisionOf<<B as BoundSetup>::Provider>>>;

pub(super) struct Harness<B: BoundSetup> {
    setup: B,
    pub(super) counts: Arc<Counts>,
    pub(super) object: Object<B>,
    pub(super) other_object: Object<B>,
    /// Connected at the start.
    pub(super) east: Key<B>,
    /// Not known to the provider at the start.
    pub(super) west: Key<B>,
}

impl<B: BoundSetup> Harness<B> {
    pub(super) async fn new(setup: B) -> Self {
        let [object, other_object] = setup.objects();
        let [east, west] = setup.provider_setup().clusters();
        setup.provider_setup().connect(&east).await;
        Self { setup, counts: Arc::default(), object, other_object, east, west }
    }

    pub(super) fn provider_setup(&self) -> &B::Provider {
        self.setup.provider_setup()
    }

    pub(super) fn gate(&self) -> &Gate<Key<B>> {
        self.setup.gate()
    }

    pub(super) fn states(&self) -> &B::States {
        self.setup.states()
    }

    /// Returns the cluster object of `cluster` with the current revision, if there is one.
    pub(super) async fn observe(&self, cluster: &Key<B>) -> Cluster<B> {
        let answer = self.provider_setup().provider().connection(cluster).await;
        ObservedCluster { key: cluster.clone(), revision: answer.ok().map(|connection| connection.revision) }
    }

    /// Returns the cluster object of `cluster` without a revision.
    pub(super) fn without_revision(cluster: &Key<B>) -> Cluster<B> {
        ObservedCluster { key: cluster.clone(), revision: None }
    }

    /// Replaces the connection of east. Returns the new cluster object.
    pub(super) async fn replace_east(&self) -> Cluster<B> {
        self.provider_setup().replace(&self.east).await;
        self.observe(&self.east).await
    }

    /// Returns a build that completes at once.
    pub(super) fn build(&self) -> impl FnOnce(Client<B>) -> std::future::Ready<Result<Probe, Infallible>> + use<B> {
        let counts = Arc::clone(&self.counts);
        move |_| std::future::ready(Ok(counts.build()))
    }

    pub(super) fn get_or_build<'a>(
        &'a self,
        object: &'a Object<B>,
        cluster: &'a Cluster<B>,
    ) -> impl Future<Output = Built<B>> + use<'a, B> {
        self.states().get_or_build(object, cluster, self.build())
    }

    /// A call whose build never ends.
    pub(super) fn build_forever<'a>(
        &'a self,
        object: &'a Object<B>,
        cluster: &'a Cluster<B>,
    ) -> impl Future<Output = Built<B>> + use<'a, B> {
        self.states().get_or_build(object, cluster, |_| pending())
    }

    /// Returns the state of the object on `cluster`, where there must be one.
    pub(super) async fn state(&self, cluster: &Cluster<B>) -> Arc<Probe> {
        self.state_of(&self.object, cluster).await
    }

    pub(super) async fn state_of(&self, object: &Object<B>, cluster: &Cluster<B>) -> Arc<Probe> {
        match self.get_or_build(object, cluster).await {
            Ok(state) => state,
            Err(error) => panic!("{cluster:?} names the current connection, but nothing was built: {error:?}"),
        }
    }

    #[track_caller]
    pub(super) fn assert_counts(&self, built: usize, current: usize, because: &str) {
        assert_eq!(
            (self.counts.built(), self.counts.current()),
            (built, current),
            "states built and current: {because}"
        );
    }
}
