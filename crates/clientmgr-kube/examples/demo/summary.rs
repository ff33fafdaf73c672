//! The summary: what the servers counted, and what must hold.

use crate::journal::{Event, Journal, Refusal};
use crate::say;
use crate::story::{Failure, Member};

/// Prints the summary. `late_on_revoked` requests of a client that was kept past its revocation reached a server.
///
/// # Errors
///
/// If anything of it is not as it must be.
pub(crate) fn summarize(
    journal: &Journal,
    east: &Member,
    west: &Member,
    remembered: usize,
    late_on_revoked: usize,
) -> Result<(), Failure> {
    let count = |matches: fn(&Event) -> bool| journal.count_since(0, matches);
    let forgotten = count(|event| matches!(event, Event::Forgotten { .. }));
    let torn_down = count(|event| matches!(event, Event::TornDown { .. }));
    let built = count(|event| matches!(event, Event::Built { .. }));
    // A teardown is a reset, unless the object was forgotten or the controller ended.
    let resets = torn_down.saturating_sub(forgotten + remembered);
    let revoked = count(|event| matches!(event, Event::Revoked { .. }));
    let stale = count(|event| matches!(event, Event::Refused { why: Refusal::Stale, .. }));
    let unavailable = count(|event| matches!(event, Event::Refused { why: Refusal::Unavailable, .. }));

    say("\n── summary, requests counted by the servers");
    let (late_east, open_east) = east.audit.report(&east.server);
    let (late_west, open_west) = west.audit.report(&west.server);
    let (late, open) = (late_east + late_west + late_on_revoked, open_east + open_west);
    say(format_args!("  states built: {built}, resets: {resets} (rotation: 0, outage: 0), watches revoked: {revoked}"));
    say(format_args!("  stale refusals: {stale}, unavailable: {unavailable}"));
    say(format_args!("  objects forgotten: {forgotten}, remembered at the end: {remembered}"));
    say(format_args!("  requests of a revoked client still open: {open}"));
    say(format_args!("  requests made with a superseded client: {late}"));

    let must_hold = [
        (late == 0, "a superseded client was used"),
        (open == 0, "a revoked client's request goes on"),
        (resets == 2, "anna and bert are reset once each"),
        (revoked == 2, "the watches of anna and bert end as revoked"),
        (stale >= 1, "dora was refused as stale"),
        (unavailable >= 1, "emil was refused while west was away"),
        (built == torn_down, "every state that was built was torn down"),
        (forgotten == 1 && remembered == 4, "one of five beacons was forgotten"),
    ];
    match must_hold.iter().find(|(holds, _)| !holds) {
        Some((_, broken)) => Err(Failure::Story(broken)),
        None => Ok(()),
    }
}
