//! Every state and input, compared with the tables of `docs/staleness.md`.

use std::sync::Arc;

use clientmgr_core::{ClientError, ClientManager};
use futures::executor::block_on;

use crate::common::{Fault, Provider, Rev, observed};

const OBJECT: u8 = 1;
const CLUSTER: u8 = 1;
/// A revision that no table speaks of.
const PROBE: u32 = 99;

type Clients = ClientManager<Arc<Provider>, u8>;

struct Cell {
    row: String,
    column: String,
    text: String,
}

/// The cells of the table that follows `heading`.
fn table(heading: &str) -> Vec<Cell> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/staleness.md");
    let page = std::fs::read_to_string(path).expect("the page is in docs");
    let (_, below) = page.split_once(&format!("\n### {heading}\n")).expect("the heading is on the page");
    let rows: Vec<Vec<&str>> = below
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let [columns, _ruler, rows @ ..] = &rows[..] else { panic!("a table follows the heading") };
    let cell = |row: &str, column: &str, text: &str| Cell { row: row.into(), column: column.into(), text: text.into() };
    rows.iter()
        .flat_map(|row| columns.iter().zip(row).skip(1).map(|(column, text)| cell(row[0], column, text)))
        .collect()
}

fn revision(text: &str, of: fn(u32) -> Rev) -> Option<Rev> {
    (text != "–").then(|| of(text.parse().expect("a revision is a figure")))
}

/// A manager in the state of a row.
fn clients_in(state: &str, of: fn(u32) -> Rev) -> Clients {
    let clients = ClientManager::new(Arc::new(Provider::default()));
    if state == "ResetDue" {
        block_on(clients.client(&OBJECT, &observed(CLUSTER, None))).unwrap_err();
    } else if let Some(held) = state.strip_prefix("Holding(") {
        clients.provider().set(CLUSTER, Ok(of(held.trim_end_matches(')').parse().unwrap())));
        block_on(clients.client(&OBJECT, &clients.provider().cluster(CLUSTER))).unwrap();
    }
    assert_eq!(state_of(&clients, of), state, "the state was reached");
    clients
}

/// Returns the state as it shows from outside. Requests a client of a revision that no object holds: an object that holds
/// another one gets an error with the held revision, one with a Reset due gets the client. Changes the state.
fn state_of(clients: &Clients, of: fn(u32) -> Rev) -> String {
    if clients.objects() == 0 {
        return "Absent".to_owned();
    }
    let was = clients.provider().current(CLUSTER);
    clients.provider().set(CLUSTER, Ok(of(PROBE)));
    let asked = block_on(clients.client(&OBJECT, &observed(CLUSTER, Some(of(PROBE)))));
    clients.provider().set(CLUSTER, was);
    match asked {
        Err(ClientError::RefreshRequired { held: Rev::Time(held) | Rev::Hash(held), .. }) => format!("Holding({held})"),
        Ok(_) => {
            // Undo what the question did: an observation of nothing makes the reset due again.
            assert!(clients.refresh(&OBJECT, &observed(CLUSTER, None)).is_reset());
            "ResetDue".to_owned()
        }
        other => panic!("no state answers so: {other:?}"),
    }
}

fn check_refresh(heading: &str, of: fn(u32) -> Rev) {
    let cells = table(heading);
    assert_eq!(cells.len(), 12, "the table is complete");
    for Cell { row, column, text } in cells {
        let clients = clients_in(&row, of);
        let said = clients.refresh(&OBJECT, &observed(CLUSTER, revision(&column, of)));
        assert_eq!(format!("{said:?} → {}", state_of(&clients, of)), text, "{heading}: {row} observes {column}");
    }
}

#[test]
fn refresh_of_ordered_revisions_does_what_the_table_says() {
    check_refresh("refresh, ordered revisions", Rev::Time);
}

#[test]
fn refresh_of_unordered_revisions_does_what_the_table_says() {
    check_refresh("refresh, revisions without an order", Rev::Hash);
}

#[test]
fn client_does_what_the_table_says_whatever_the_order_of_revisions() {
    for of in [Rev::Time, Rev::Hash] {
        let cells = table("client");
        assert_eq!(cells.len(), 36, "the table is complete");
        for Cell { row, column, text } in cells {
            let (state, seen) = row.split_once(" sees ").expect("a row is a state and an observation");
            let clients = clients_in(state, of);
            let current = if column == "error" { None } else { revision(&column, of) };
            clients.provider().set(CLUSTER, current.ok_or(Fault::Unavailable));
            let said = match block_on(clients.client(&OBJECT, &observed(CLUSTER, revision(seen, of)))) {
                Ok(client) => {
                    assert_eq!(Some(client), current.map(|current| (CLUSTER, current)), "the client is the provider's");
                    "client"
                }
                Err(ClientError::ClusterOutdated { .. }) => "outdated",
                Err(ClientError::RefreshRequired { .. }) => "refresh required",
                Err(ClientError::Unavailable { .. }) => "error",
                Err(other) => panic!("unexpected: {other:?}"),
            };
            assert_eq!(format!("{said} → {}", state_of(&clients, of)), text, "{row}, the provider says {column}");
        }
    }
}
