//! The programs that the tasks run: in the root of the workspace, on this terminal, and shown before they start.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use wait_timeout::ChildExt;

/// Returns the root directory of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in a directory of the workspace")
}

/// Returns the cargo that runs this xtask.
pub(crate) fn cargo() -> Command {
    program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

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

/// Runs a program and waits for its end.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = show(command);
    let status = command.status().with_context(|| format!("`{line}` did not start"))?;
    ensure!(status.success(), "`{line}` ended with {status}");
    Ok(())
}

/// Replaces this process by a program, where the system can, so that Ctrl-C reaches the program alone.
pub(crate) fn exec(command: &mut Command) -> Result<()> {
    #[cfg(unix)]
    {
        let line = show(command);
        let error = std::os::unix::process::CommandExt::exec(command);
        Err(error).with_context(|| format!("`{line}` did not start"))
    }
    #[cfg(not(unix))]
    run(command)
}

/// Runs a program, and ends it at the limit. Returns its exit status; none where it was ended.
pub(crate) fn run_within(command: &mut Command, limit: Duration) -> Result<Option<ExitStatus>> {
    show(command);
    let mut child = command.spawn()?;
    let status = child.wait_timeout(limit)?;
    if status.is_none() {
        child.kill()?;
        child.wait()?;
    }
    Ok(status)
}

/// Runs a program and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = show(command);
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("`{line}` did not start"))?;
    ensure!(output.status.success(), "`{line}` ended with {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// Returns whether a program runs and succeeds. Shows nothing of it.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn show(command: &Command) -> String {
    let envs =
        command.get_envs().filter_map(|(name, value)| Some(format!("{}='{}' ", name.display(), value?.display())));
    let program = Path::new(command.get_program()).file_stem().unwrap_or_default();
    let arguments = command.get_args().map(|argument| format!(" {}", argument.display()));
    let line = format!("{}{}{}", envs.collect::<String>(), program.display(), arguments.collect::<String>());
    eprintln!("\n$ {line}");
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{cargo, flags, run, run_within};

    #[test]
    fn a_program_is_ended_at_its_limit() {
        let status = |argument, limit| run_within(cargo().arg(argument), Duration::from_secs(limit)).unwrap();
        assert!(status("version", 0).is_none());
        assert!(status("version", 60).unwrap().success());
        assert!(!status("no-such-subcommand", 60).unwrap().success());
    }

    #[test]
    fn a_failure_names_the_command_as_it_is_typed() {
        let failure =
            run(cargo().arg("no-such-subcommand").env("XTASK_UNSET", flags("XTASK_UNSET", "-D x"))).unwrap_err();
        assert!(
            failure.to_string().starts_with("`XTASK_UNSET='-D x' cargo no-such-subcommand` ended with "),
            "{failure}"
        );
    }
}
