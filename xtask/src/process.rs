//! Running other programs: shown before it starts, its output untouched, its exit status kept.
//!
//! What must not live here: which program with which arguments. That is each habit's own.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// Why a habit did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A program ran and said no.
    Exited { command: String, status: ExitStatus },
    /// A program did not even start.
    NotStarted { command: String, source: std::io::Error },
    /// A tool is missing. Nothing is installed unasked.
    Missing { what: String, install: String },
    /// A check of our own found this many things wrong, and has told them.
    Found(usize),
    /// Some steps of several failed, and have told why.
    Steps(Vec<&'static str>),
    /// The command line, the environment or a program's output is not what it must be.
    Invalid(String),
}

impl Failure {
    /// The status that xtask itself exits with: that of the program it ran, where there is one.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Exited { status, .. } => status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
            Self::Invalid(_) => 2,
            Self::NotStarted { .. } | Self::Missing { .. } | Self::Found(_) | Self::Steps(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { command, status } => write!(f, "`{command}` ended with {status}"),
            Self::NotStarted { command, source } => write!(f, "`{command}` did not start: {source}"),
            Self::Missing { what, install } => write!(f, "{what} is not installed; install it with `{install}`"),
            Self::Found(1) => f.write_str("1 violation"),
            Self::Found(count) => write!(f, "{count} violations"),
            Self::Steps(names) => write!(f, "failed: {}", names.join(", ")),
            Self::Invalid(what) => f.write_str(what),
        }
    }
}

/// The root directory of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in a directory of the workspace")
}

/// A program that is to run in the workspace's root.
pub(crate) struct Program {
    command: Command,
    shown: Vec<String>,
}

/// The cargo that runs this very xtask.
pub(crate) fn cargo() -> Program {
    let mut program = Program::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    program.shown = vec!["cargo".to_owned()];
    program
}

/// The cargo of a named toolchain.
pub(crate) fn cargo_of(toolchain: &str) -> Program {
    Program::new("rustup").args(["run", toolchain, "cargo"])
}

impl Program {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let program = program.as_ref();
        let mut command = Command::new(program);
        command.current_dir(root());
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(belongs_to_xtask) {
                command.env_remove(name);
            }
        }
        Self { command, shown: vec![program.to_string_lossy().into_owned()] }
    }

    pub(crate) fn args<I>(mut self, args: I) -> Self
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        for arg in args {
            self.shown.push(arg.as_ref().to_string_lossy().into_owned());
            self.command.arg(arg);
        }
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        let value = value.into();
        self.shown.insert(0, format!("{name}={:?}", value.to_string_lossy()));
        self.command.env(name, value);
        self
    }

    /// Adds to the flags that rustc or rustdoc gets through the variable `name`, and keeps those the caller has set.
    pub(crate) fn env_flags(self, name: &str, flags: &str) -> Self {
        let flags = match std::env::var(name) {
            Ok(set) if !set.trim().is_empty() => format!("{set} {flags}"),
            _ => flags.to_owned(),
        };
        self.env(name, flags)
    }

    /// Runs it on this terminal and waits for its end.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        let command = self.shown.join(" ");
        eprintln!("\n$ {command}");
        match self.command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::Exited { command, status }),
            Err(source) => Err(Failure::NotStarted { command, source }),
        }
    }

    /// Becomes it, where the system can: then a Ctrl-C is its alone to answer, and its exit status is ours. Elsewhere
    /// runs it and waits.
    #[cfg(unix)]
    pub(crate) fn take_over(mut self) -> Result<(), Failure> {
        use std::os::unix::process::CommandExt;

        let command = self.shown.join(" ");
        eprintln!("\n$ {command}");
        let source = self.command.exec();
        Err(Failure::NotStarted { command, source })
    }

    /// Becomes it, where the system can. Here it runs and is waited for.
    #[cfg(not(unix))]
    pub(crate) fn take_over(self) -> Result<(), Failure> {
        self.run()
    }

    /// Runs it unseen and returns what it wrote to its standard output.
    pub(crate) fn output(mut self) -> Result<String, Failure> {
        let command = self.shown.join(" ");
        match self.command.stderr(Stdio::inherit()).output() {
            Ok(output) if output.status.success() => String::from_utf8(output.stdout)
                .map_err(|_| Failure::Invalid(format!("`{command}` wrote something that is not UTF-8"))),
            Ok(output) => Err(Failure::Exited { command, status: output.status }),
            Err(source) => Err(Failure::NotStarted { command, source }),
        }
    }

    /// Whether it runs at all and succeeds. Nothing of it is seen.
    pub(crate) fn succeeds(mut self) -> bool {
        let status = self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }
}

/// Whether cargo set this variable to tell about xtask itself. Some build scripts watch them: were they handed on, a
/// plain `cargo test` after `cargo xtask test` would build half of the world again.
fn belongs_to_xtask(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|prefix| variable.starts_with(prefix))
        || variable == "CARGO_PRIMARY_PACKAGE"
}

/// Fails unless the command line of a habit is empty.
pub(crate) fn takes_no_arguments(arguments: &[OsString]) -> Result<(), Failure> {
    match arguments.first() {
        None => Ok(()),
        Some(first) => Err(Failure::Invalid(format!("takes no arguments, but got {}", first.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, belongs_to_xtask, cargo, takes_no_arguments};

    #[test]
    fn what_cargo_tells_about_xtask_is_not_handed_on_and_settings_are() {
        assert!(["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "CARGO_PRIMARY_PACKAGE"].into_iter().all(belongs_to_xtask));
        assert!(
            !["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_INCREMENTAL", "CARGO", "PATH"].into_iter().any(belongs_to_xtask)
        );
    }

    #[test]
    fn the_exit_status_of_a_program_is_kept() {
        let failure = cargo().args(["no-such-subcommand"]).output().unwrap_err();
        assert!(matches!(failure, Failure::Exited { .. }));
        assert_eq!(failure.exit_code(), 101);
    }

    #[test]
    fn a_command_line_that_is_not_understood_exits_with_two() {
        assert!(takes_no_arguments(&[]).is_ok());
        assert_eq!(takes_no_arguments(&["--fast".into()]).unwrap_err().exit_code(), 2);
    }
}
