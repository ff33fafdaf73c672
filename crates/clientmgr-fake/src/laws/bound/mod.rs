//! The laws of [`States`](super::States): state that is bound to a client, built and torn down in time.

mod build;
mod forget;
mod probe;
mod stage;
mod standing;

pub use self::build::*;
pub use self::forget::*;
pub use self::probe::Probe;
pub use self::standing::*;
