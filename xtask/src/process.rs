//! [`Task`]s, why they fail, and the programs that they run: shown before they start, with their exit status kept.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A task: its name, what it is for, and what it does with the rest of the command line.
pub(crate) struct Task {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&[OsString]) -> Result<(), Failure>,
}

/// Why a task failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Exited {
        command: String,
        status: ExitStatus,
    },
    NotStarted {
        command: String,
        source: std::io::Error,
    },
    /// A tool that CI has is not installed here. `cargo xtask ci` skips its step.
    Missing {
        tool: &'static str,
        install: &'static str,
    },
    /// A check found this many violations, which it has printed.
    Violations(usize),
    /// These steps failed.
    Steps(Vec<&'static str>),
    /// The command line or the environment is wrong.
    Usage(String),
}

impl Failure {
    /// Returns the exit status of xtask: that of the program it ran, where there is one.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Exited { status, .. } => status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
            Self::Usage(_) => 2,
            _ => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { command, status } => write!(f, "`{command}` ended with {status}"),
            Self::NotStarted { command, source } => write!(f, "`{command}` did not start: {source}"),
            Self::Missing { tool, install } => write!(f, "{tool} is not installed; install it with `{install}`"),
            Self::Violations(count) => write!(f, "{count} violations"),
            Self::Steps(names) => write!(f, "failed: {}", names.join(", ")),
            Self::Usage(what) => f.write_str(what),
        }
    }
}

/// Returns the root directory of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in a directory of the workspace")
}

/// Returns the cargo that runs this xtask.
pub(crate) fn cargo() -> Command {
    program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Returns a program that runs in the root directory of the workspace.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root());
    // What cargo says about xtask itself. Some build scripts watch these variables: with them a plain `cargo test` after
    // `cargo xtask test` would rebuild much.
    let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_PACKAGE"];
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    command
}

/// Returns the flags in the variable `name`, and `more`.
pub(crate) fn flags(name: &str, more: &str) -> String {
    format!("{} {more}", std::env::var(name).unwrap_or_default()).trim().to_owned()
}

/// Runs a program on this terminal and waits for its end.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    eprintln!("\n$ {}", shown(command));
    let result = command.status();
    ended(command, result)
}

/// Runs a program on this terminal, and ends it at the limit. Returns its exit status; none where it was ended.
#[expect(clippy::disallowed_methods, reason = "the standard library cannot wait for a program with a limit")]
pub(crate) fn run_within(command: &mut Command, limit: Duration) -> Result<Option<ExitStatus>, Failure> {
    let shown = shown(command);
    eprintln!("\n$ {shown}");
    let failed = |source| Failure::NotStarted { command: shown.clone(), source };
    let mut child = command.spawn().map_err(failed)?;
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(50));
    }
    // It may have ended by itself meanwhile.
    let _ = child.kill();
    child.wait().map(|_| None).map_err(failed)
}

/// Replaces this process by a program, where the system can, so that Ctrl-C reaches the program alone.
pub(crate) fn exec(command: &mut Command) -> Result<(), Failure> {
    #[cfg(unix)]
    {
        eprintln!("\n$ {}", shown(command));
        let source = std::os::unix::process::CommandExt::exec(command);
        ended(command, Err(source))
    }
    #[cfg(not(unix))]
    run(command)
}

/// Runs a program and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command.stderr(Stdio::inherit()).output();
    let text = output.as_ref().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    ended(command, output.map(|output| output.status)).map(|()| text)
}

/// Returns whether a program runs and succeeds. Shows nothing of it.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn ended(command: &Command, result: std::io::Result<ExitStatus>) -> Result<(), Failure> {
    match result {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::Exited { command: shown(command), status }),
        Err(source) => Err(Failure::NotStarted { command: shown(command), source }),
    }
}

fn shown(command: &Command) -> String {
    let envs =
        command.get_envs().filter_map(|(name, value)| Some(format!("{}='{}' ", name.display(), value?.display())));
    let program = Path::new(command.get_program()).file_stem().unwrap_or_default();
    let arguments = command.get_args().map(|argument| format!(" {}", argument.display()));
    format!("{}{}{}", envs.collect::<String>(), program.display(), arguments.collect::<String>())
}

/// Fails unless the command line is empty.
pub(crate) fn no_arguments(arguments: &[OsString]) -> Result<(), Failure> {
    match arguments.first() {
        None => Ok(()),
        Some(first) => Err(Failure::Usage(format!("takes no arguments, but got {}", first.display()))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Failure, cargo, no_arguments, output, run_within, shown};

    #[test]
    fn a_program_is_ended_at_its_limit() {
        let status = |argument, limit| run_within(cargo().arg(argument), Duration::from_secs(limit)).unwrap();
        assert!(status("version", 0).is_none());
        assert!(status("version", 60).unwrap().success());
        assert!(!status("no-such-subcommand", 60).unwrap().success());
    }

    #[test]
    fn the_exit_status_of_a_program_is_kept() {
        let failure = output(cargo().arg("no-such-subcommand")).unwrap_err();
        assert!(matches!(failure, Failure::Exited { .. }));
        assert_eq!(failure.exit_code(), 101);
        assert_eq!(no_arguments(&["--fast".into()]).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_command_is_shown_as_it_is_typed() {
        assert_eq!(
            shown(cargo().args(["doc", "--lib"]).env("RUSTDOCFLAGS", "-D x")),
            "RUSTDOCFLAGS='-D x' cargo doc --lib"
        );
    }
}
