//! The laws of a manager: the staleness rules as a controller sees them.
//!
//! An object on a cluster is in one of three states: it never asked (*absent*), it *holds* a client of one revision, or
//! a *reset is due*. The laws bring it there by calls and see the state in the next result.

mod client;
mod forget;
mod harness;
mod refresh;
mod schedule;

pub use self::client::*;
pub use self::forget::*;
pub use self::refresh::*;
pub use self::schedule::*;
