//! The controller that `docs/writing-a-controller.md` writes: every greeting on the hub becomes a config map on the
//! cluster that it names. Nothing in here knows of tests.

pub(crate) mod binary;
pub(crate) mod cluster;
pub(crate) mod controller;
pub(crate) mod greeting;
pub(crate) mod member;
pub(crate) mod status;
