//! The laws of a [`Manager`](super::Manager): the staleness rules, as a controller meets them.
//!
//! An object on a cluster is in one of three states: it never asked (*absent*), it *holds* a client of one revision, or
//! a *reset is due*. The laws bring it there by calls alone and tell the state by what is answered next.

mod client;
mod forget;
mod refresh;
mod schedule;
mod stage;

pub use self::client::*;
pub use self::forget::*;
pub use self::refresh::*;
pub use self::schedule::*;
