//! The story: first connect, rotation in place, an outage, a replaced cluster, a deleted object.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clientmgr_fake::apiserver::{Replacement, Requests, TestServer};
use clientmgr_kube::{ClientProvider as _, Fleet, Revoked};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, CustomResourceExt as _};
use tokio::sync::{Mutex, oneshot};

use crate::api::{Beacon, Cluster};
use crate::controller::{self, Context};
use crate::journal::{Event, Journal, Refusal};
use crate::say;
use crate::status::{key, publish};
use crate::story::{Failure, Member, Story};
use crate::summary::summarize;

/// So short that the demo takes seconds. An outage is noticed by the broken connections at once.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);

pub(crate) async fn run() -> Result<(), Failure> {
    let hub = TestServer::builder().name("hub").install(Cluster::crd()).install(Beacon::crd()).start().await?;
    let (mut east, mut west) = (Member::start("east").await?, Member::start("west").await?);
    say(format_args!("hub {}, east {}, west {}", hub.url(), east.server.url(), west.server.url()));

    let (journal, gate) = (Journal::new(), Arc::new(Mutex::new(())));
    let fleet = Fleet::builder().probe_interval(PROBE_INTERVAL).build();
    let story = Story {
        journal: journal.clone(),
        hub: hub.client().await?,
        fleet: fleet.clone(),
        status_gate: Arc::clone(&gate),
    };
    for member in [&east, &west] {
        story.create_cluster(member.name).await?;
    }
    let context = Context::new(hub.client().await?, fleet.clone(), journal.clone());
    let (stop, stopped) = oneshot::channel::<()>();
    let controller = tokio::spawn(controller::run(Arc::clone(&context), async {
        // Also when the story fails and drops the sender.
        let _ = stopped.await;
    }));
    let hub_client = hub.client().await?;
    let publishing = tokio::spawn({
        let fleet = fleet.clone();
        async move { publish(fleet, hub_client, journal, &gate).await }
    });

    let outcome = tell(&story, &mut east, &mut west).await;
    let remembered = context.stations.objects();
    publishing.abort();
    let _ = stop.send(());
    controller.await?;
    drop(context);
    let late = outcome?;
    for member in [&east, &west] {
        member.audit.until_closed(&member.server).await;
    }
    summarize(&story.journal, &east, &west, remembered, late)?;
    fleet.shutdown().await;
    for server in [hub, east.server, west.server] {
        server.shutdown().await;
    }
    Ok(())
}

/// Returns how many requests of a revoked client reached a server.
async fn tell(story: &Story, east: &mut Member, west: &mut Member) -> Result<usize, Failure> {
    first_connect(story, east, west).await?;
    rotation(story, east, west).await?;
    outage(story, west).await?;
    let late = replacement(story, east).await?;
    deletion(story, east).await?;
    Ok(late)
}

async fn first_connect(story: &Story, east: &mut Member, west: &mut Member) -> Result<(), Failure> {
    story.journal.title("the first connect: two members, three beacons");
    story.connect(east, east.server.issue_token("clientmgr")).await?;
    let certificate = west.server.issue_certificate("clientmgr", Duration::from_secs(3_600))?;
    story.connect(west, certificate).await?;
    for (beacon, member) in [("anna", "east"), ("bert", "east"), ("cleo", "west")] {
        story.create_beacon(beacon, member, "hello").await?;
    }
    for beacon in ["anna", "bert", "cleo"] {
        story.until_seen(0, beacon, "hello").await?;
    }
    Ok(())
}

async fn rotation(story: &Story, east: &mut Member, west: &mut Member) -> Result<(), Failure> {
    story.journal.title("rotation: a new token for east, a new certificate for west; no beacon is reset");
    let mark = story.journal.mark();
    let old = story.connect(east, east.server.issue_token("clientmgr")).await?;
    let certificate = west.server.issue_certificate("clientmgr", Duration::from_secs(3_600))?;
    let old_of_west = story.connect(west, certificate).await?;
    for (member, old) in [(&*east, old), (&*west, old_of_west)] {
        if let Some(old) = old {
            member.server.revoke(old.fingerprint());
        }
    }
    for beacon in ["anna", "cleo"] {
        story.change_beacon(beacon, "after the rotation").await?;
        story.until_seen(mark, beacon, "after the rotation").await?;
    }
    story.no_reset_since(mark)
}

async fn outage(story: &Story, west: &Member) -> Result<(), Failure> {
    let journal = &story.journal;
    journal.title("outage: west stops; no beacon is reset, errors come at once, east does not notice");
    let mark = journal.mark();
    west.server.stop().await;
    let down = |event: &Event| matches!(event, Event::Published { cluster, error: Some(_), .. } if cluster == "west");
    journal.since(mark, "west is unavailable", down).await?;
    story.create_beacon("emil", "west", "hello").await?;
    let refused =
        |event: &Event| matches!(event, Event::Refused { beacon, why: Refusal::Unavailable, .. } if beacon == "emil");
    journal.since(mark, "emil is refused a client", refused).await?;
    let begun = Instant::now();
    if story.fleet.connection(&key("west")).await.is_ok() {
        return Err(Failure::Story("a client of a stopped server was served"));
    }
    journal.note(format_args!("west    the fleet answers this in {:?}", begun.elapsed()));
    story.change_beacon("anna", "while west is away").await?;
    story.until_seen(mark, "anna", "while west is away").await?;

    journal.title("west comes back: cleo's watch resumes, recovery is announced to emil");
    let back = journal.mark();
    west.server.start().await?;
    story.until_seen(back, "emil", "hello").await?;
    story.change_beacon("cleo", "back again").await?;
    story.until_seen(back, "cleo", "back again").await?;
    story.no_reset_since(mark)
}

async fn replacement(story: &Story, east: &mut Member) -> Result<usize, Failure> {
    let journal = &story.journal;
    journal.title("replacement: another cluster answers at the address of east, with the same credentials");
    let mark = journal.mark();
    let old = story.fleet.client(key("east")).await?;
    let before = story.revision("east")?;
    let pause = story.status_gate.lock().await;
    let replaced = Instant::now();
    east.server.replace(Replacement::SameCa)?;
    story.until_other_revision("east", before).await?;
    journal.note(format_args!("east    the fleet noticed after {:?}", replaced.elapsed()));

    // The old client: its requests fail before they reach a server, and its watches end.
    let proven = east.server.marker();
    let error = Api::<ConfigMap>::default_namespaced(old).get("of-the-old-client").await.err();
    let revoked = error.as_ref().and_then(|error| Revoked::find(error));
    let revoked = revoked.ok_or(Failure::Story("a client of the old cluster was not revoked"))?;
    journal.note(format_args!("east    a request of the old client: {revoked}"));
    for name in ["anna", "bert"] {
        let ended = |event: &Event| matches!(event, Event::Revoked { beacon, .. } if beacon == name);
        journal.since(mark, &format!("{name}'s watch ends as revoked"), ended).await?;
    }

    journal.title("a beacon asks before the status of east names the new revision; then all are reset");
    story.create_beacon("dora", "east", "hello").await?;
    let stale = |event: &Event| matches!(event, Event::Refused { beacon, why: Refusal::Stale, .. } if beacon == "dora");
    journal.since(mark, "dora is refused, as the cluster object is outdated", stale).await?;
    drop(pause);
    for beacon in ["anna", "bert"] {
        story.until_rebuilt(mark, beacon).await?;
    }
    story.until_seen(mark, "dora", "hello").await?;
    // A credential that the old client never had: from here on the log distinguishes the clients.
    story.connect(east, east.server.issue_token("clientmgr")).await?;
    for beacon in ["anna", "bert"] {
        story.change_beacon(beacon, "on the new cluster").await?;
        story.until_seen(mark, beacon, "on the new cluster").await?;
    }
    let of_old = Requests::get("configmaps").name("of-the-old-client").since(proven);
    Ok(east.server.requests_matching(of_old).len())
}

async fn deletion(story: &Story, east: &Member) -> Result<(), Failure> {
    let journal = &story.journal;
    journal.title("a beacon is deleted and forgotten");
    let mark = journal.mark();
    story.delete_beacon("bert").await?;
    let forgotten = |event: &Event| matches!(event, Event::Forgotten { beacon } if beacon == "bert");
    journal.since(mark, "bert is forgotten", forgotten).await?;
    let maps = Api::<ConfigMap>::default_namespaced(east.server.client().await?);
    if maps.get_opt("bert").await?.is_some() {
        return Err(Failure::Story("what bert wrote is still on east"));
    }
    Ok(())
}
