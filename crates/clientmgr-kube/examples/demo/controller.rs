//! The controller: what a beacon's reconcile does. It knows no fleet: any provider of clients will do, so the tests run
//! it over a fake one.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use clientmgr_kube::{BoundError, BoundStates, ClientError, ClusterObject as _, DynProvider, requeue_after};
use futures::StreamExt;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::finalizer::{self, Event as FinalizerEvent, finalizer};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use tokio::time::timeout;

use crate::api::{Beacon, Cluster};
use crate::chain;
use crate::journal::{Event, Journal, Refusal};
use crate::station::{Post, Station};

const FINALIZER: &str = "demo.clientmgr.dev/beacon";
const RETRY: Duration = Duration::from_millis(300);
/// A request on a cluster has no deadline of its own: the client is made for watches.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

pub(crate) struct Context {
    pub(crate) hub: Client,
    pub(crate) stations: BoundStates<Station>,
    pub(crate) journal: Journal,
}

impl Context {
    pub(crate) fn new(hub: Client, provider: impl Into<DynProvider>, journal: Journal) -> Arc<Self> {
        Arc::new(Self { hub, stations: BoundStates::new(provider.into()), journal })
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the cluster object could not be read")]
    Cluster(#[source] kube::Error),
    #[error("no client")]
    NoClient(#[from] BoundError<Infallible>),
    #[error("writing to the cluster failed")]
    Write(#[source] kube::Error),
    #[error("the cluster did not answer within {} s", REQUEST_DEADLINE.as_secs())]
    Silent,
    #[error("the finalizer could not be set or removed")]
    Finalizer(#[source] Box<finalizer::Error<Error>>),
}

/// Runs until `stop`, and ends when the last reconcile has.
pub(crate) async fn run(context: Arc<Context>, stop: impl Future<Output = ()> + Send + Sync + 'static) {
    let beacons = Api::<Beacon>::default_namespaced(context.hub.clone());
    let clusters = Api::<Cluster>::default_namespaced(context.hub.clone());
    let controller = Controller::new(beacons, watcher::Config::default());
    let known = controller.store();
    controller
        // A change of a cluster concerns all the beacons that name it.
        .watches(clusters, watcher::Config::default(), move |cluster| {
            let concerned = known.state().into_iter().filter(|beacon| beacon.spec.cluster == cluster.name_any());
            concerned.map(|beacon| ObjectRef::from_obj(&*beacon)).collect::<Vec<_>>()
        })
        .graceful_shutdown_on(stop)
        .run(reconcile, on_error, context)
        // Errors went through `on_error`, which journals them.
        .for_each(|_| std::future::ready(()))
        .await;
}

pub(crate) async fn reconcile(beacon: Arc<Beacon>, context: Arc<Context>) -> Result<Action, Error> {
    let beacons = Api::<Beacon>::default_namespaced(context.hub.clone());
    let finalized = finalizer(&beacons, FINALIZER, beacon, |event| async {
        match event {
            FinalizerEvent::Apply(beacon) => apply(&beacon, &context).await,
            FinalizerEvent::Cleanup(beacon) => Ok(clean_up(&beacon, &context).await),
        }
    });
    finalized.await.map_err(|error| match error {
        finalizer::Error::ApplyFailed(error) | finalizer::Error::CleanupFailed(error) => error,
        other => Error::Finalizer(Box::new(other)),
    })
}

/// The three steps. The second and third are one, because the beacon's state is bound to its client.
async fn apply(beacon: &Beacon, context: &Context) -> Result<Action, Error> {
    let station = station(beacon, context).await?;
    within_deadline(station.write(&beacon.spec.message)).await?;
    Ok(Action::await_change())
}

/// Deletes what the beacon wrote, as far as its cluster can be reached, and forgets the beacon in any case.
async fn clean_up(beacon: &Beacon, context: &Context) -> Action {
    if let Ok(station) = station(beacon, context).await
        && let Err(error) = within_deadline(station.erase()).await
    {
        refuse(beacon, context, &error);
    }
    context.stations.forget(beacon);
    context.journal.tell(Event::Forgotten { beacon: beacon.name_any() });
    Action::await_change()
}

/// The beacon's state on its cluster, on the connection that the cluster object names.
async fn station(beacon: &Beacon, context: &Context) -> Result<Arc<Station>, Error> {
    let clusters = Api::<Cluster>::default_namespaced(context.hub.clone());
    let cluster = clusters.get(&beacon.spec.cluster).await.map_err(Error::Cluster)?;
    let post = Post { beacon: beacon.name_any(), cluster: cluster.name_any(), connected_at: cluster.connected_at() };
    // A beacon that named another cluster before leaves nothing there.
    let own = cluster.cluster_key();
    context.stations.retain(beacon, |known| *known == own);
    let build = |client| Station::start(client, post, context.journal.clone());
    Ok(context.stations.get_or_build(beacon, &cluster, build).await?)
}

async fn within_deadline(request: impl Future<Output = kube::Result<()>>) -> Result<(), Error> {
    timeout(REQUEST_DEADLINE, request).await.map_err(|_| Error::Silent)?.map_err(Error::Write)
}

#[expect(clippy::needless_pass_by_value, reason = "the controller hands the context over like this")]
fn on_error(beacon: Arc<Beacon>, error: &Error, context: Arc<Context>) -> Action {
    // A finalizer is set against the object as the cache had it, which may be a version behind: tried again, that is all.
    if !matches!(error, Error::Finalizer(_)) {
        refuse(&beacon, &context, error);
    }
    let delay = match error {
        // Where only a change of the cluster object helps, its watch brings the beacon back.
        Error::NoClient(BoundError::Client(error)) => requeue_after(error, RETRY),
        _ => Some(RETRY),
    };
    delay.map_or_else(Action::await_change, Action::requeue)
}

fn refuse(beacon: &Beacon, context: &Context, error: &Error) {
    let why = match error {
        Error::NoClient(BoundError::Client(error)) if ClientError::is_stale(error) => Refusal::Stale,
        Error::NoClient(_) => Refusal::Unavailable,
        _ => Refusal::WriteFailed,
    };
    context.journal.tell(Event::Refused {
        beacon: beacon.name_any(),
        cluster: beacon.spec.cluster.clone(),
        why,
        error: chain(error),
    });
}
