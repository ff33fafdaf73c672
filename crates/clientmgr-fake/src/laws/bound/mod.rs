//! The laws of bound states: state on a client, built and torn down in time.

mod build;
mod current;
mod forget;
mod harness;

pub use self::build::*;
pub use self::current::*;
pub use self::forget::*;
