//! A program that runs beside the tests: its output goes to a file, it is waited for with a deadline, and it is killed
//! when its handle is dropped.

use std::{
    fs::File,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{self, Instant},
};

use crate::real::real_error::RealError;

/// How often a program is asked whether it is ready. It does not announce it.
const ROUND: Duration = Duration::from_millis(50);
/// How long one such question may take.
const ANSWER: Duration = Duration::from_secs(5);
/// How many lines at the end of its output an error shows.
const TAIL: usize = 40;

/// A running program.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    child: Child,
    output: PathBuf,
}

impl Process {
    /// Starts it, its output in `directory`.
    pub(super) fn start(
        name: &'static str,
        program: &Path,
        arguments: &[String],
        directory: &Path,
    ) -> Result<Self, RealError> {
        let output = directory.join(format!("{name}.log"));
        let start = || {
            let file = File::create(&output)?;
            Command::new(program)
                .args(arguments)
                .current_dir(directory)
                .stdin(Stdio::null())
                .stdout(file.try_clone()?)
                .stderr(file)
                .spawn()
        };
        let child = start().map_err(|source| RealError::NotStarted { program: name, source })?;
        Ok(Self { name, child, output })
    }

    /// Asks until the answer is yes. A program that ends or takes too long is an error with the end of its output.
    pub(super) async fn ready_within(
        &mut self,
        patience: Duration,
        mut is_ready: impl AsyncFnMut() -> bool,
    ) -> Result<(), RealError> {
        let deadline = Instant::now() + patience;
        let mut rounds = time::interval(ROUND);
        rounds.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            if let Some(status) = self.ended() {
                return Err(RealError::Exited { program: self.name, status, tail: self.tail() });
            }
            if time::timeout_at(deadline.min(Instant::now() + ANSWER), is_ready()).await == Ok(true) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(RealError::NotReady { program: self.name, waited: patience, tail: self.tail() });
            }
        }
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        // Where the system does not know, the deadline ends the wait.
        self.child.try_wait().ok().flatten()
    }

    fn tail(&self) -> String {
        let bytes = std::fs::read(&self.output).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Whether an etcd says that it is healthy.
pub(super) async fn answers_healthy(port: u16) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.write_all(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    // HTTP/1.0 200 or HTTP/1.1 200, as the server likes.
    ask.await.is_ok_and(|answer| answer.split_whitespace().nth(1) == Some("200"))
}
