//! `cargo xtask crds`: writes the definitions of the custom resources to `deploy/crds`. A test checks that they are
//! current.

use std::ffi::OsString;

use crate::process::{Failure, cargo, no_arguments, output, root};

const CLUSTERS: &str = "deploy/crds/clusters.clientmgr.dev.yaml";

pub(crate) fn crds(arguments: &[OsString]) -> Result<(), Failure> {
    no_arguments(arguments)?;
    let example = ["run", "--quiet", "--package", "clientmgr-runtime", "--example", "crds"];
    let text = output(cargo().args(example))?;
    let written = std::fs::write(root().join(CLUSTERS), text);
    written.map_err(|error| Failure::Usage(format!("{CLUSTERS} cannot be written: {error}")))
}
