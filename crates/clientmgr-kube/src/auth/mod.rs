//! Credentials: tokens, and the plugins that issue them. What must not live here: when they are renewed (the member's
//! state machine decides that) and how they are sent (the transport does that).

mod exec;
mod exec_credential;
mod files;
mod issued;
mod process_group;
#[cfg(test)]
pub(crate) mod testing;
mod token;
mod validity;

pub(crate) use self::exec::{EXEC_VERSIONS, run};
pub(crate) use self::files::{FileWatch, FileWatcher, Stamp};
pub(crate) use self::issued::{Identity, Issued};
pub(crate) use self::token::Token;
pub(crate) use self::validity::Validity;
