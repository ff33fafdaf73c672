//! Every state of a cluster against every event, held against a table that is written out.

use clientmgr_core::ConnectedAt;

use super::{Effect, Event, Served, State, Want};

fn at(micros: i64) -> ConnectedAt {
    ConnectedAt::from_unix_micros(micros).unwrap()
}
