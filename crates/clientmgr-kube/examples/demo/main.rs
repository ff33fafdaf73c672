//! The demo: a controller that works on many clusters, through everything that goes wrong there.
//!
//! `cargo xtask demo` starts a hub and two members as API servers in this process and runs a controller over them. It
//! rotates credentials, stops a member and brings it back, puts another cluster behind the address of a member, and ends
//! with a summary counted from the servers' own logs. Its status is 0 only if all of it held. `cargo xtask demo --kubeconfig PATH [--context NAME]…` watches the namespaces of
//! real clusters, reading only, until Ctrl-C.

mod api;
mod arguments;
mod audit;
mod controller;
mod journal;
mod real;
mod scenario;
mod station;
mod status;
mod story;
mod summary;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::process::ExitCode;

use arguments::Command;

#[tokio::main]
async fn main() -> ExitCode {
    let outcome: Result<(), Box<dyn Error>> = match arguments::parse(std::env::args().skip(1)) {
        Ok(Command::Scenario) => scenario::run().await.map_err(Into::into),
        Ok(Command::Real { kubeconfig, contexts }) => {
            real::run(&kubeconfig, &contexts, ctrl_c()).await.map_err(Into::into)
        }
        Ok(Command::Help) => {
            say(arguments::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            complain(&error);
            say(arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&*error);
            ExitCode::FAILURE
        }
    }
}

async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler Ctrl-C ends the process as it always does.
        std::future::pending::<()>().await;
    }
}

#[expect(clippy::print_stdout, reason = "the demo reports to its user")]
fn say<L: std::fmt::Display>(line: L) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "the demo reports to its user")]
fn complain(error: &dyn Error) {
    eprintln!("error: {}", chain(error));
}

/// An error with all that caused it, on one line.
fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}
