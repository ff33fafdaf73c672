//! kubectl works: scripts as people type them, their output as people read it.

mod scripts;
mod tool;

pub(crate) use self::{scripts::tests, tool::Kubectl};
