//! Prints the definition of the `Cluster` resource as YAML, for `cargo xtask crds` and for `kubectl apply`.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;

use clientmgr_runtime::cluster::Cluster;
use clientmgr_runtime::kube::CustomResourceExt as _;

fn main() -> Result<(), Box<dyn Error>> {
    // By way of JSON: its maps are sorted, so that the text is the same each time.
    let definition = serde_json::to_value(Cluster::crd())?;
    print!("{}", serde_saphyr::to_string(&definition)?);
    Ok(())
}
