//! [`Task`]s, why they fail, and the programs that they run: shown before they start, with their exit status kept.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

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

/// A program that runs in the root directory of the workspace.
pub(crate) struct Program {
    command: Command,
    shown: String,
}

/// Returns the cargo that runs this xtask.
pub(crate) fn cargo() -> Program {
    Program::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), "cargo")
}

impl Program {
    pub(crate) fn new(program: impl AsRef<OsStr>, shown: &str) -> Self {
        let mut command = Command::new(program);
        command.current_dir(root());
        // What cargo says about xtask itself. Some build scripts watch these variables: with them a plain `cargo test`
        // after `cargo xtask test` would rebuild much.
        for (name, _) in std::env::vars_os() {
            let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_PACKAGE"];
            if name.to_str().is_some_and(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))) {
                command.env_remove(name);
            }
        }
        Self { command, shown: shown.to_owned() }
    }

    pub(crate) fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, arguments: I) -> Self {
        for argument in arguments {
            self.shown = format!("{} {}", self.shown, argument.as_ref().display());
            self.command.arg(argument);
        }
        self
    }

    pub(crate) fn arg(self, argument: &str) -> Self {
        self.args([argument])
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.shown = format!("{name}='{}' {}", value.as_ref().display(), self.shown);
        self.command.env(name, value);
        self
    }

    /// Appends to the flags in the variable `name`.
    pub(crate) fn env_flags(self, name: &str, flags: &str) -> Self {
        let before = std::env::var(name).unwrap_or_default();
        self.env(name, format!("{before} {flags}").trim())
    }

    /// Runs the program on this terminal and waits for its end.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        eprintln!("\n$ {}", self.shown);
        match self.command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::Exited { command: self.shown, status }),
            Err(source) => Err(Failure::NotStarted { command: self.shown, source }),
        }
    }

    /// Replaces this process by the program, where the system can, so that Ctrl-C reaches the program alone.
    #[cfg(unix)]
    pub(crate) fn exec(mut self) -> Result<(), Failure> {
        eprintln!("\n$ {}", self.shown);
        let source = std::os::unix::process::CommandExt::exec(&mut self.command);
        Err(Failure::NotStarted { command: self.shown, source })
    }

    /// Runs the program: this system cannot replace a process.
    #[cfg(not(unix))]
    pub(crate) fn exec(self) -> Result<(), Failure> {
        self.run()
    }

    /// Runs the program and returns its standard output.
    pub(crate) fn output(mut self) -> Result<String, Failure> {
        match self.command.stderr(Stdio::inherit()).output() {
            Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            Ok(output) => Err(Failure::Exited { command: self.shown, status: output.status }),
            Err(source) => Err(Failure::NotStarted { command: self.shown, source }),
        }
    }

    /// Returns whether the program runs and succeeds. Shows nothing of it.
    pub(crate) fn succeeds(mut self) -> bool {
        let command = self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
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
    use super::{Failure, cargo, no_arguments};

    #[test]
    fn the_exit_status_of_a_program_is_kept() {
        let failure = cargo().args(["no-such-subcommand"]).output().unwrap_err();
        assert!(matches!(failure, Failure::Exited { .. }));
        assert_eq!(failure.exit_code(), 101);
        assert_eq!(no_arguments(&["--fast".into()]).unwrap_err().exit_code(), 2);
    }
}
