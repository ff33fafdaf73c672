//! Running kubectl: which one, with which kubeconfig, and with a home of its own.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time,
};

use crate::{case::Case, target::Who, test::Outcome};

/// How long one command may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// The program.
#[derive(Debug, Clone)]
pub(crate) struct Kubectl(PathBuf);

impl Kubectl {
    /// The one among the assets, which fits their server, or the first on the path.
    pub(crate) fn find() -> Option<Self> {
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let directories = assets.into_iter().chain(std::env::split_paths(&path));
        let program = |directory: PathBuf| directory.join("kubectl").with_extension(std::env::consts::EXE_EXTENSION);
        directories.map(program).find(|program| program.is_file()).map(Self)
    }
}

/// Runs kubectl commands in a test's namespace.
pub(crate) struct Terminal {
    program: PathBuf,
    home: tempfile::TempDir,
}

/// What a command wrote, and whether it succeeded.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) succeeded: bool,
    pub(crate) text: String,
    pub(crate) errors: String,
}

impl Output {
    /// What it wrote, if it succeeded.
    #[track_caller]
    pub(crate) fn text(self) -> String {
        assert!(self.succeeded, "{}{}", self.text, self.errors);
        self.text
    }

    /// The words of each line it wrote, if it succeeded.
    #[track_caller]
    pub(crate) fn rows(self) -> Vec<Vec<String>> {
        self.text().lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    }

    /// What it complained about, if it failed.
    #[track_caller]
    pub(crate) fn errors(self) -> String {
        assert!(!self.succeeded, "{}", self.text);
        self.errors
    }
}

impl Terminal {
    pub(crate) fn new(case: &Case) -> Result<Self, Box<dyn std::error::Error>> {
        let Kubectl(program) = Kubectl::find().ok_or("kubectl is not installed")?;
        let home = tempfile::tempdir()?;
        std::fs::write(home.path().join("config"), case.target().kubeconfig(Who::Admin, case.namespace()))?;
        Ok(Self { program, home })
    }

    /// Writes a file that commands can name.
    pub(crate) fn file(&self, name: &str, text: &str) -> Outcome {
        Ok(std::fs::write(self.home.path().join(name), text)?)
    }

    /// Types a command and waits for its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "").await
    }

    /// The same, with something on the standard input.
    pub(crate) async fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("kubectl starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        let run = async {
            // A command that reads nothing may be gone already.
            _ = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
            child.wait_with_output().await.expect("it can be waited for")
        };
        let output = time::timeout(DEADLINE, run).await.unwrap_or_else(|_| panic!("kubectl {arguments:?} hangs"));
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Output { succeeded: output.status.success(), text: text(&output.stdout), errors: text(&output.stderr) }
    }

    /// Starts a command that goes on until it is dropped.
    pub(crate) fn start(&self, arguments: &[&str]) -> Ongoing {
        let mut child = self.command(arguments).stdin(Stdio::null()).spawn().expect("kubectl starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Ongoing { _child: child, lines }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let home: &Path = self.home.path();
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(home)
            .env("HOME", home)
            .env("USERPROFILE", home)
            .env("KUBECONFIG", home.join("config"))
            .env("KUBECACHEDIR", home.join("cache"))
            .env("NO_PROXY", "127.0.0.1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

/// A command that goes on, line by line.
pub(crate) struct Ongoing {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Ongoing {
    /// The words of its next line.
    pub(crate) async fn row(&mut self) -> Vec<String> {
        let line = self.lines.next_line().await.expect("its output can be read").expect("it goes on");
        line.split_whitespace().map(str::to_owned).collect()
    }
}
