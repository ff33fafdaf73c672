//! The story: first connect, work, a replaced connection, a member that fails and comes back, a deleted object.

use std::sync::Arc;

use clientmgr_fake::apiserver::{CertificateError, ClientError, Credential, StartError, TestServer};
use clientmgr_kube::{ClientProvider, ConnectError, Endpoint, Fleet, ProviderError};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, CustomResourceExt};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinError;

use crate::api::{Beacon, BeaconSpec, Cluster, ClusterSpec};
use crate::audit::Audit;
use crate::controller::{self, Context};
use crate::journal::{Event, Journal, Missing, Refusal};
use crate::keeper::Keeper;
use crate::say;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("an API server did not start")]
    Start(#[from] StartError),
    #[error("the hub has no client")]
    Hub(#[from] ClientError),
    #[error("a certificate could not be issued")]
    Certificate(#[from] CertificateError),
    #[error("a request to a server failed")]
    Request(#[from] kube::Error),
    #[error("a member could not be connected")]
    Connect(#[from] ConnectError),
    #[error("a member that was connected has no connection")]
    NoConnection(#[from] ProviderError),
    #[error("something that must happen did not")]
    Missing(#[from] Missing),
    #[error("a task did not end well")]
    Task(#[from] JoinError),
    #[error("the summary is not as it must be: {0}")]
    Summary(&'static str),
}

/// A member: its server, and the audit of who used it.
struct Member {
    name: &'static str,
    server: TestServer,
    audit: Audit,
}

impl Member {
    async fn start(name: &'static str) -> Result<Self, Failure> {
        let server = TestServer::builder().name(name).start().await?;
        Ok(Self { name, server, audit: Audit::of(name) })
    }
}

struct Story {
    journal: Journal,
    hub: Client,
    fleet: Fleet,
    keeper: Arc<Keeper>,
}

pub(crate) async fn run() -> Result<(), Failure> {
    let hub = TestServer::builder().name("hub").install(Cluster::crd()).install(Beacon::crd()).start().await?;
    let (mut east, mut west) = (Member::start("east").await?, Member::start("west").await?);
    say(format_args!("hub {}, east {}, west {}", hub.url(), east.server.url(), west.server.url()));

    let journal = Journal::new();
    let fleet = Fleet::builder().build();
    let keeper = Keeper::new(fleet.clone(), hub.client().await?, journal.clone());
    let story =
        Story { journal: journal.clone(), hub: hub.client().await?, fleet: fleet.clone(), keeper: Arc::clone(&keeper) };
    for member in [&east, &west] {
        story.create_cluster(member.name).await?;
    }
    let context = Context::new(hub.client().await?, fleet.into(), journal);
    let (stop, stopped) = oneshot::channel::<()>();
    let controller = tokio::spawn(controller::run(Arc::clone(&context), async {
        // Also when the story fails and drops the sender.
        let _ = stopped.await;
    }));
    let keeping = tokio::spawn(keeper.run([east.name, west.name]));

    let told = tell(&story, &mut east, &mut west).await;
    let forgotten = context.stations.objects();
    keeping.abort();
    let _ = stop.send(());
    controller.await?;
    drop(context);
    told?;
    for member in [&east, &west] {
        member.audit.until_closed(&member.server).await;
    }
    story.summarize(&east, &west, forgotten)?;
    for server in [hub, east.server, west.server] {
        server.shutdown().await;
    }
    Ok(())
}

async fn tell(story: &Story, east: &mut Member, west: &mut Member) -> Result<(), Failure> {
    let journal = &story.journal;

    journal.title("the first connect: two members, three beacons");
    story.connect(east, east.server.issue_token("clientmgr")).await?;
    let certificate = west.server.issue_certificate("clientmgr", std::time::Duration::from_secs(3_600))?;
    story.connect(west, certificate).await?;
    for (beacon, member) in [("anna", "east"), ("bert", "east"), ("cleo", "west")] {
        story.create_beacon(beacon, member, "hello").await?;
    }
    for beacon in ["anna", "bert", "cleo"] {
        story.until_seen(0, beacon, "hello").await?;
    }

    journal.title("the connection of east is replaced; a beacon asks before the status tells of it");
    let mark = journal.mark();
    let pause = story.keeper.pause().await;
    story.connect(east, east.server.issue_token("clientmgr-2")).await?;
    story.create_beacon("dora", "east", "hello").await?;
    let stale = |event: &Event| matches!(event, Event::Refused { beacon, why: Refusal::Stale, .. } if beacon == "dora");
    journal.since(mark, "dora is refused, her cluster object being outdated", stale).await?;
    drop(pause);
    for beacon in ["anna", "bert"] {
        story.until_rebuilt(mark, beacon).await?;
    }
    east.audit.supersede(&east.server);
    story.until_seen(mark, "dora", "hello").await?;
    for beacon in ["anna", "bert"] {
        story.change_beacon(beacon, "after the change").await?;
        story.until_seen(mark, beacon, "after the change").await?;
    }

    journal.title("west fails; east does not care");
    let mark = journal.mark();
    west.server.stop().await;
    let torn_down = |event: &Event| matches!(event, Event::TornDown { beacon, .. } if beacon == "cleo");
    journal.since(mark, "cleo is told to drop her state", torn_down).await?;
    let refused =
        |event: &Event| matches!(event, Event::Refused { beacon, why: Refusal::Unavailable, .. } if beacon == "cleo");
    journal.since(mark, "cleo is refused a client", refused).await?;
    story.change_beacon("anna", "while west is away").await?;
    story.until_seen(mark, "anna", "while west is away").await?;

    journal.title("west comes back with new credentials; recovery is announced");
    let mark = journal.mark();
    let token = west.server.issue_token("clientmgr-2");
    // Else the keeper might find west back with the old credentials first.
    let pause = story.keeper.pause().await;
    west.server.start().await?;
    story.connect(west, token).await?;
    drop(pause);
    let built = |event: &Event| matches!(event, Event::Built { beacon, .. } if beacon == "cleo");
    journal.since(mark, "cleo's state is built again", built).await?;
    west.audit.supersede(&west.server);
    story.change_beacon("cleo", "back again").await?;
    story.until_seen(mark, "cleo", "back again").await?;

    journal.title("a beacon is deleted and forgotten");
    let mark = journal.mark();
    story.delete_beacon("bert").await?;
    let forgotten = |event: &Event| matches!(event, Event::Forgotten { beacon } if beacon == "bert");
    journal.since(mark, "bert is forgotten", forgotten).await?;
    let maps = Api::<ConfigMap>::default_namespaced(east.server.client().await?);
    if maps.get_opt("bert").await?.is_some() {
        return Err(Failure::Summary("what bert wrote is still on east"));
    }
    Ok(())
}

impl Story {
    async fn connect(&self, member: &mut Member, credential: Credential) -> Result<(), Failure> {
        let kubeconfig = member.server.kubeconfig_for(&credential);
        let context = kubeconfig.current_context.clone().unwrap_or_default();
        self.keeper.connect(member.name, Endpoint::from_kubeconfig(&kubeconfig, &context)).await?;
        let connection = self.fleet.connection(&Keeper::key(member.name)).await?;
        member.audit.connected(connection.revision, credential);
        Ok(())
    }

    async fn create_cluster(&self, name: &str) -> Result<(), Failure> {
        let clusters = Api::<Cluster>::default_namespaced(self.hub.clone());
        clusters.create(&PostParams::default(), &Cluster::new(name, ClusterSpec {})).await?;
        Ok(())
    }

    async fn create_beacon(&self, name: &str, cluster: &str, message: &str) -> Result<(), Failure> {
        let spec = BeaconSpec { cluster: cluster.to_owned(), message: message.to_owned() };
        let beacon = Beacon { metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }, spec };
        self.beacons().create(&PostParams::default(), &beacon).await?;
        Ok(())
    }

    async fn change_beacon(&self, name: &str, message: &str) -> Result<(), Failure> {
        let patch = Patch::Merge(json!({ "spec": { "message": message } }));
        self.beacons().patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    async fn delete_beacon(&self, name: &str) -> Result<(), Failure> {
        self.beacons().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    fn beacons(&self) -> Api<Beacon> {
        Api::default_namespaced(self.hub.clone())
    }

    /// The beacon's own watch has seen its message on its cluster.
    async fn until_seen(&self, mark: usize, name: &str, text: &str) -> Result<(), Failure> {
        let saw =
            |event: &Event| matches!(event, Event::Saw { beacon, message, .. } if beacon == name && message == text);
        Ok(self.journal.since(mark, &format!("{name}'s watch sees {text:?}"), saw).await?)
    }

    /// The beacon's old state was torn down, and then a new one was built.
    async fn until_rebuilt(&self, mark: usize, name: &str) -> Result<(), Failure> {
        let torn_down = |event: &Event| matches!(event, Event::TornDown { beacon, .. } if beacon == name);
        let built = |event: &Event| matches!(event, Event::Built { beacon, .. } if beacon == name);
        let in_order = |events: &[Event]| {
            let since = &events[mark..];
            since.iter().position(torn_down).is_some_and(|at| since[at..].iter().any(built))
        };
        Ok(self.journal.until(&format!("{name}'s state is torn down and built again"), in_order).await?)
    }

    fn summarize(&self, east: &Member, west: &Member, remembered: usize) -> Result<(), Failure> {
        let count = |matches: fn(&Event) -> bool| self.journal.count(matches);
        let forgotten = count(|event| matches!(event, Event::Forgotten { .. }));
        let torn_down = count(|event| matches!(event, Event::TornDown { .. }));
        let built = count(|event| matches!(event, Event::Built { .. }));
        // What is torn down was reset, forgotten with its object, or ended with the controller.
        let resets = torn_down.saturating_sub(forgotten + remembered);
        let stale = count(|event| matches!(event, Event::Refused { why: Refusal::Stale, .. }));
        let unavailable = count(|event| matches!(event, Event::Refused { why: Refusal::Unavailable, .. }));

        say("\n── summary, requests counted by the servers");
        let (late_east, open_east) = east.audit.report(&east.server);
        let (late_west, open_west) = west.audit.report(&west.server);
        let (late, open) = (late_east + late_west, open_east + open_west);
        say(format_args!(
            "  states built: {built}, resets: {resets}, stale refusals: {stale}, unavailable: {unavailable}"
        ));
        say(format_args!("  objects forgotten: {forgotten}, remembered at the end: {remembered}"));
        say(format_args!("  requests of a superseded client still open: {open}"));
        say(format_args!("  requests made with a superseded client: {late}"));

        let must_hold = [
            (late == 0, "a superseded client was used"),
            (open == 0, "a superseded client's watch goes on"),
            (resets == 3, "anna, bert and cleo are reset once each"),
            (stale >= 1, "dora was refused as stale"),
            (unavailable >= 1, "cleo was refused while west was away"),
            (built == torn_down, "every state that was built was torn down"),
            (forgotten == 1 && remembered == 3, "one of four beacons was forgotten"),
        ];
        match must_hold.iter().find(|(holds, _)| !holds) {
            Some((_, broken)) => Err(Failure::Summary(broken)),
            None => Ok(()),
        }
    }
}
