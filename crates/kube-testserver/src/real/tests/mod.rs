//! The start of real binaries, tested without them: what would be started, and what happens when that goes wrong.

mod plans;
#[cfg(unix)]
mod processes;

type Outcome = Result<(), Box<dyn std::error::Error>>;
