//! The wiring to kube-runtime: what triggers a reconcile, and what it is given.

use std::sync::Arc;

use clientmgr_kube::{BoundStates, DynProvider};
use futures::channel::mpsc;
use futures::{StreamExt as _, future};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::finalizer::{Event, finalizer};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};

use super::cluster::Cluster;
use super::greeting::{Context, Error, Greeting, RETRY, cleanup, reconcile, within};

/// Runs the controller until `stop` is ready.
pub(crate) async fn run(hub: Client, clients: DynProvider, stop: impl Future<Output = ()> + Send + Sync + 'static) {
    let (changed, changes) = mpsc::unbounded();
    let context = Arc::new(Context { members: BoundStates::new(clients), changed });

    let controller = Controller::new(Api::<Greeting>::all(hub.clone()), watcher::Config::default());
    let greetings = controller.store();
    let that_name = move |cluster: Cluster| {
        let name = cluster.name_any();
        let naming = greetings.state().into_iter().filter(move |greeting| greeting.spec.cluster == name);
        naming.map(|greeting| ObjectRef::from_obj(&*greeting)).collect::<Vec<_>>()
    };
    controller
        .watches(Api::<Cluster>::all(hub.clone()), watcher::Config::default(), that_name)
        .reconcile_all_on(changes)
        .graceful_shutdown_on(stop)
        .run(move |greeting, context| step(hub.clone(), greeting, context), retry, context)
        .for_each(|_| future::ready(()))
        .await;
}

async fn step(hub: Client, greeting: Arc<Greeting>, context: Arc<Context>) -> Result<Action, Error> {
    let greetings: Api<Greeting> = Api::all(hub.clone());
    // Read now, after the trigger: it is at least as new as what triggered.
    let cluster = within(Api::<Cluster>::all(hub).get_opt(&greeting.spec.cluster)).await?;
    let outcome = finalizer(&greetings, "example.com/greeter", greeting, async |event| match event {
        Event::Apply(greeting) => reconcile(&greeting, cluster.as_ref(), &context).await,
        Event::Cleanup(greeting) => cleanup(&greeting, cluster.as_ref(), &context).await,
    });
    outcome.await.map_err(|error| Error::Finalizer(Box::new(error)))
}

fn retry(_: Arc<Greeting>, error: &Error, _: Arc<Context>) -> Action {
    report(error);
    Action::requeue(RETRY)
}

/// To your log, with all its causes.
#[expect(clippy::print_stderr, reason = "stands for a log")]
pub(crate) fn report(error: &Error) {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    eprintln!("{}", causes.map(ToString::to_string).collect::<Vec<_>>().join(": "));
}
