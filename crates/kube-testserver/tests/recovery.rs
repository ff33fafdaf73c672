//! A `watcher` and a `Controller` of kube-runtime recover from each way that a watch ends on a real server.

mod greeter;

use std::{error::Error, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt as _,
    api::PostParams,
    runtime::{WatchStreamExt as _, watcher},
};
use kube_testserver::{Fault, Requests, TestServer};

type Outcome = Result<(), Box<dyn Error>>;

const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug)]
enum Break {
    /// The watch ends, and its resource version has expired when the client watches again.
    Expired,
    /// The watch ends, and the history was compacted.
    Compacted,
    /// The connection is cut.
    Cut,
}

impl Break {
    /// Breaks the open watch.
    async fn apply(self, server: &TestServer, writer: &Api<ConfigMap>) -> Outcome {
        let watches = Requests::watch("configmaps");
        match self {
            Self::Expired => {
                server.inject(Fault::ExpiredResourceVersion.on(watches.clone()).times(1));
                assert_eq!(server.end_watches(&watches), 1);
            }
            Self::Compacted => {
                // A change that the watch does not select, so that its client's version is before the compaction.
                let mut other = greeter::asking("other");
                other.metadata.labels = None;
                writer.create(&PostParams::default(), &other).await?;
                server.compact();
                assert_eq!(server.end_watches(&watches), 1);
            }
            Self::Cut => server.cut_connections(),
        }
        Ok(())
    }
}

/// A watcher lists again after a 410, and only then. Either way it reports what was created meanwhile, and only once.
async fn a_watcher_recovers_from(how: Break) -> Outcome {
    let server = TestServer::builder().start().await?;
    let maps = Api::<ConfigMap>::default_namespaced(server.client().await?);
    let writer = Api::<ConfigMap>::default_namespaced(server.client().await?);
    writer.create(&PostParams::default(), &greeter::asking("first")).await?;
    let mut events = watcher(maps, watcher::Config::default().labels("example.com/greet=please")).boxed();
    while !matches!(events.try_next().await?, Some(watcher::Event::InitDone)) {}
    // The next event is asked for, so that the watch opens.
    let opened = server.wait_for(Requests::watch("configmaps").answered());
    tokio::select! {
        _ = opened => {}
        event = events.next() => panic!("{event:?} before anything changed"),
    }
    let before = server.marker();
    how.apply(&server, &writer).await?;
    writer.create(&PostParams::default(), &greeter::asking("second")).await?;

    let mut objects = events.applied_objects();
    let seen = async {
        loop {
            // An error is how a cut watch is reported. The watcher goes on.
            if let Some(Ok(map)) = objects.next().await
                && map.name_any() == "second"
            {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, seen).await?;
    let lists = server.requests_matching(Requests::list("configmaps").since(before)).len();
    assert_eq!(lists, usize::from(!matches!(how, Break::Cut)), "lists after {how:?}");
    Ok(())
}

async fn a_controller_recovers_from(how: Break) -> Outcome {
    let server = TestServer::builder().start().await?;
    let controller = tokio::spawn(greeter::run(server.client().await?, |_| {}));
    let maps = Api::<ConfigMap>::default_namespaced(server.client().await?);
    let greeted = async |name| {
        maps.create(&PostParams::default(), &greeter::asking(name)).await?;
        let greeted = server.wait_for(Requests::patch("configmaps").name(name).status(200));
        tokio::time::timeout(DEADLINE, greeted).await?;
        Ok::<_, Box<dyn Error>>(())
    };
    greeted("first").await?;
    server.wait_for(Requests::watch("configmaps").answered()).await;
    let before = server.marker();
    how.apply(&server, &maps).await?;
    let again = server.wait_for(Requests::watch("configmaps").since(before).answered());
    tokio::time::timeout(DEADLINE, again).await?;
    greeted("second").await?;
    let lists = server.requests_matching(Requests::list("configmaps").since(before)).len();
    assert_eq!(lists, usize::from(!matches!(how, Break::Cut)), "lists after {how:?}");
    controller.abort();
    Ok(())
}

macro_rules! for_each_break {
    ($($test:ident: $recovers:ident from $how:ident;)+) => {$(
        #[tokio::test]
        async fn $test() -> Outcome {
            $recovers(Break::$how).await
        }
    )+};
}

for_each_break! {
    a_watcher_recovers_from_an_expired_version: a_watcher_recovers_from from Expired;
    a_watcher_recovers_from_compaction: a_watcher_recovers_from from Compacted;
    a_watcher_recovers_from_a_cut_watch: a_watcher_recovers_from from Cut;
    a_controller_recovers_from_an_expired_version: a_controller_recovers_from from Expired;
    a_controller_recovers_from_compaction: a_controller_recovers_from from Compacted;
    a_controller_recovers_from_a_cut_watch: a_controller_recovers_from from Cut;
}
