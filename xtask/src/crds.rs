//! `cargo xtask crds`: writes the definitions of the custom resources to `deploy/crds`. A test checks that they are
//! current.

use std::ffi::OsString;

use crate::process::{Failure, cargo, root, takes_no_arguments};

const CLUSTERS: &str = "deploy/crds/clusters.clientmgr.dev.yaml";

pub(crate) fn run(arguments: &[OsString]) -> Result<(), Failure> {
    takes_no_arguments(arguments)?;
    let example = ["run", "--quiet", "--package", "clientmgr-runtime", "--example", "crds"];
    let text = cargo().args(example).output()?;
    let written = std::fs::write(root().join(CLUSTERS), text);
    written.map_err(|error| Failure::Invalid(format!("{CLUSTERS} cannot be written: {error}")))
}
