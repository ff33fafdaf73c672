//! The conformance suite of the in-process API server: one test a behaviour, every assertion true of a real
//! kube-apiserver too.
//!
//! It runs on the in-process server, or, where `KUBEBUILDER_ASSETS` names a directory with `etcd` and
//! `kube-apiserver`, on those instead. All tests share one server, each in a namespace of its own, so that they run side
//! by side, and again on the same server. This target has a main of its own, which starts and ends that server. What only the
//! in-process server does (faults, its log, compaction on demand) has tests of its own.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the output says which server the suite ran on, and what did not run"
)]

mod answer;
mod case;
mod fixtures;
mod frames;
mod kube_rs;
mod kubectl;
mod suite;
mod target;
mod test;

use std::{io, process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Trial};
use tokio::runtime;

use self::{
    kubectl::Kubectl,
    target::Target,
    test::{Test, WithCauses},
};

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::from_args();
    let kubectl = Kubectl::find();
    if arguments.list {
        // The names need no server, and a tool that lists them reads every line as a name.
        let unused: Vec<Trial> = scripts(kubectl.as_ref()).chain(tests()).map(Test::listed).collect();
        return Ok(libtest_mimic::run(&arguments, unused).exit_code());
    }

    // Where several features give rustls several providers, it does not choose by itself.
    _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let target = match runtime.block_on(Target::start()) {
        Ok(target) => Arc::new(target),
        Err(error) => {
            eprintln!("conformance: no server to run on: {}", WithCauses(error.as_ref()));
            return Ok(ExitCode::FAILURE);
        }
    };
    println!("conformance: running on {target}");
    let trials = scripts(kubectl.as_ref()).chain(tests()).map(|test| test.on(&target)).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if kubectl.is_none() {
        println!("conformance: kubectl is not installed: {} scripts not run", scripts(None).count());
    }
    println!("conformance: ran on {target}");
    // The trials are gone, and with them every other handle. Should one have been kept by a test that did not end, the
    // server ends with the last of them or with the process.
    if let Ok(target) = Arc::try_unwrap(target) {
        runtime.block_on(target.shutdown());
    }
    Ok(conclusion.exit_code())
}

fn tests() -> impl Iterator<Item = Test> {
    suite::tests().into_iter().chain(kube_rs::tests())
}

/// The scripts for kubectl, which cannot run where it is not installed.
fn scripts(kubectl: Option<&Kubectl>) -> impl Iterator<Item = Test> {
    let installed = kubectl.is_some();
    kubectl::tests().into_iter().map(move |test| test.only_if(installed))
}
