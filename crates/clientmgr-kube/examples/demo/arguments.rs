//! What the demo is asked to do. Parsing only.

use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: cargo xtask demo                                          the whole story on API servers in this process
       cargo xtask demo --kubeconfig PATH [--context NAME]...    watch namespaces of real clusters, reading only";

#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Scenario,
    /// No contexts are all of them.
    Real {
        kubeconfig: PathBuf,
        contexts: Vec<String>,
    },
    Help,
}

#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum ArgumentError {
    #[error("{0} takes a value")]
    NoValue(&'static str),
    #[error("there is no argument {0:?}")]
    Unknown(String),
    #[error("--context names one in a kubeconfig: give --kubeconfig as well")]
    ContextOfNothing,
}

pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command, ArgumentError> {
    let mut arguments = arguments.into_iter();
    let (mut kubeconfig, mut contexts) = (None, Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--kubeconfig" => {
                let path = arguments.next().ok_or(ArgumentError::NoValue("--kubeconfig"))?;
                kubeconfig = Some(PathBuf::from(path));
            }
            "--context" => contexts.push(arguments.next().ok_or(ArgumentError::NoValue("--context"))?),
            "--help" | "-h" => return Ok(Command::Help),
            _ => return Err(ArgumentError::Unknown(argument)),
        }
    }
    match kubeconfig {
        Some(kubeconfig) => Ok(Command::Real { kubeconfig, contexts }),
        None if contexts.is_empty() => Ok(Command::Scenario),
        None => Err(ArgumentError::ContextOfNothing),
    }
}

#[cfg(test)]
mod tests {
    use super::{ArgumentError, Command, parse};

    fn parsed(line: &str) -> Result<Command, ArgumentError> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn arguments_choose_between_the_story_and_real_clusters() {
        assert_eq!(parsed(""), Ok(Command::Scenario));
        assert_eq!(parsed("--help"), Ok(Command::Help));
        let real = |contexts: &[&str]| {
            Ok(Command::Real { kubeconfig: "a".into(), contexts: contexts.iter().map(ToString::to_string).collect() })
        };
        assert_eq!(parsed("--kubeconfig a"), real(&[]));
        assert_eq!(parsed("--context x --kubeconfig a --context y"), real(&["x", "y"]));
    }

    #[test]
    fn wrong_arguments_say_what_is_wrong() {
        assert_eq!(parsed("--kubeconfig"), Err(ArgumentError::NoValue("--kubeconfig")));
        assert_eq!(parsed("--context"), Err(ArgumentError::NoValue("--context")));
        assert_eq!(parsed("--context x"), Err(ArgumentError::ContextOfNothing));
        assert_eq!(parsed("--fast"), Err(ArgumentError::Unknown("--fast".into())));
    }
}
