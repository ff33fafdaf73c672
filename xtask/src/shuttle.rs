//! `cargo xtask shuttle`: the core's races under a scheduler that tries interleavings.
//!
//! The cfg swaps the map and the locks for shuttle's, so that everything is built apart, in a target directory of its
//! own.

use std::ffi::OsString;

use crate::process::{Failure, cargo, root};

pub(crate) fn run(arguments: &[OsString]) -> Result<(), Failure> {
    cargo()
        .args(["test", "--package", "clientmgr-core", "--test", "shuttle", "--"])
        .args(arguments)
        .env_flags("RUSTFLAGS", "--cfg clientmgr_shuttle")
        .env("CARGO_TARGET_DIR", root().join("target").join("shuttle"))
        .run()
}
