//! The server as a program, for kubectl and for tests in other languages.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its terminal")]

use std::{
    ffi::OsString,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
    discovery::{Scope, pinned_kind},
};
use kube_testserver::{TestServer, TestServerBuilder};
use serde_json::{Value, json};

const USAGE: &str = "usage: kube-testserver --kubeconfig PATH [--name NAME] [--port N] [--seed FILE]

Serves the Kubernetes API on a loopback port until a signal ends it.

  --kubeconfig PATH  write a kubeconfig of the administrator there
  --name NAME        what the kubeconfig calls the cluster and the context
  --port N           the port to listen on; any free one by default
  --seed FILE        create the objects in this YAML or JSON file first, as `kubectl get -o yaml` writes them too

A SIGHUP revokes the administrator's token and writes a kubeconfig with a new one.
";

type Failure = Box<dyn std::error::Error>;

/// What the command line asks for.
#[derive(Debug, Default, PartialEq)]
struct Options {
    kubeconfig: PathBuf,
    name: Option<String>,
    port: u16,
    seed: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let (mut options, mut arguments) = (Self::default(), arguments.into_iter());
        while let Some(flag) = arguments.next() {
            let text = flag.to_str().unwrap_or_default();
            let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value.into())));
            if !matches!(name, "--kubeconfig" | "--name" | "--port" | "--seed") {
                return Err(format!("unknown argument {}", flag.display()));
            }
            let value: OsString = match value {
                Some(value) => value,
                None => arguments.next().ok_or_else(|| format!("{name} needs a value"))?,
            };
            match name {
                "--kubeconfig" => options.kubeconfig = value.into(),
                "--name" => options.name = Some(value.into_string().map_err(|_| "--name takes UTF-8")?),
                "--seed" => options.seed = Some(value.into()),
                _ => {
                    let port = value.to_str().and_then(|port| port.parse().ok());
                    options.port = port.ok_or_else(|| format!("--port takes a port, not {}", value.display()))?;
                }
            }
        }
        if options.kubeconfig.as_os_str().is_empty() {
            return Err("--kubeconfig is missing".to_owned());
        }
        Ok(options)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|argument| argument == "--version" || argument == "-V") {
        println!("kube-testserver {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(problem) => {
            eprint!("kube-testserver: {problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("kube-testserver: {failure}");
            let mut cause = failure.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Failure> {
    let builder = TestServer::builder().port(options.port);
    let builder = options.name.iter().fold(builder, TestServerBuilder::name);
    let server = builder.start().await?;
    if let Some(seed) = &options.seed {
        let text = std::fs::read_to_string(seed).map_err(|error| format!("{}: {error}", seed.display()))?;
        create_all(&server.client().await?, &text).await?;
    }
    // A signal may come as soon as the kubeconfig is there.
    let mut signals = Signals::new()?;
    write_kubeconfig(&server, options)?;
    println!("{}", server.url());
    while signals.next().await? == Signal::Rotate {
        _ = server.rotate_token(&server.admin(), Duration::ZERO);
        write_kubeconfig(&server, options)?;
    }
    server.shutdown().await;
    Ok(())
}

fn write_kubeconfig(server: &TestServer, options: &Options) -> Result<(), Failure> {
    let kubeconfig = server.kubeconfig_yaml(&server.admin());
    let written = write_secret(&options.kubeconfig, &kubeconfig);
    written.map_err(|error| format!("{}: {error}", options.kubeconfig.display()).into())
}

/// The metadata that the server sets. An object that was read from a cluster has it.
const SET_BY_THE_SERVER: [&str; 5] = ["resourceVersion", "uid", "creationTimestamp", "managedFields", "generation"];

/// The objects of a YAML text, in its order: those of a `List` too, as `kubectl get` writes it. What the server sets of
/// their metadata is left out.
fn objects_of(text: &str) -> Result<Vec<DynamicObject>, Failure> {
    let mut objects = Vec::new();
    // As kubectl reads YAML: `0644` is octal.
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    for document in serde_saphyr::from_multiple_with_options::<Value>(text, options)? {
        match document {
            Value::Object(mut list) if list.get("items").is_some_and(Value::is_array) => {
                let kind = list.get("kind").and_then(Value::as_str).and_then(|kind| kind.strip_suffix("List"));
                let (kind, version) = (kind.map(str::to_owned), list.get("apiVersion").cloned());
                let Some(Value::Array(items)) = list.remove("items") else { continue };
                objects.extend(items.into_iter().map(|mut item| {
                    // In the list of a type, the items need not say theirs.
                    if let (true, Some(kind)) = (item["kind"].is_null(), kind.as_ref().filter(|kind| !kind.is_empty()))
                    {
                        (item["kind"], item["apiVersion"]) = (kind.as_str().into(), version.clone().into());
                    }
                    item
                }));
            }
            other => objects.push(other),
        }
    }
    let read = |mut object: Value| {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.retain(|field, _| !SET_BY_THE_SERVER.contains(&field.as_str()));
        }
        Ok(serde_json::from_value(object)?)
    };
    objects.into_iter().map(read).collect()
}

/// Creates the objects of a YAML text, with the status that they have.
async fn create_all(client: &Client, text: &str) -> Result<(), Failure> {
    for object in objects_of(text).map_err(|error| format!("the seed is not read: {error}"))? {
        let name = object.name_any();
        let types = object.types.as_ref().ok_or_else(|| format!("{name:?} of the seed has no apiVersion and kind"))?;
        let found = pinned_kind(client, &GroupVersionKind::try_from(types)?).await;
        let (kind, capabilities) =
            found.map_err(|error| format!("{} {name:?} of the seed has an unknown type: {error}", types.kind))?;
        let api: Api<DynamicObject> = match (capabilities.scope, object.namespace()) {
            (Scope::Cluster, _) => Api::all_with(client.clone(), &kind),
            (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(client.clone(), &namespace, &kind),
            (Scope::Namespaced, None) => Api::default_namespaced_with(client.clone(), &kind),
        };
        let created = api.create(&PostParams::default(), &object).await;
        let created =
            created.map_err(|error| format!("{} {name:?} of the seed was not created: {error}", kind.kind))?;
        if let Some(status) = object.data.get("status")
            && capabilities.subresources.iter().any(|(subresource, _)| subresource.plural == "status")
        {
            let status = Patch::Merge(json!({"status": status}));
            let set = api.patch_status(&created.name_any(), &PatchParams::default(), &status).await;
            set.map_err(|error| format!("the status of {} {name:?} of the seed was not set: {error}", kind.kind))?;
        }
    }
    Ok(())
}

/// Replaces a file at once by one that, where the system knows owners, only its owner can read.
fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    End,
    Rotate,
}

/// The signals that the program reacts to, caught from when this is made.
#[cfg(unix)]
struct Signals {
    interrupted: tokio::signal::unix::Signal,
    terminated: tokio::signal::unix::Signal,
    hung_up: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let (interrupted, terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupted, terminated, hung_up: signal(SignalKind::hangup())? })
    }

    async fn next(&mut self) -> std::io::Result<Signal> {
        tokio::select! {
            _ = self.interrupted.recv() => Ok(Signal::End),
            _ = self.terminated.recv() => Ok(Signal::End),
            _ = self.hung_up.recv() => Ok(Signal::Rotate),
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> std::io::Result<Signal> {
        tokio::signal::ctrl_c().await.map(|()| Signal::End)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        Options::parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn the_command_line_is_read_or_refused_with_the_reason() {
        let all = parse(&["--port", "6443", "--kubeconfig", "a", "--seed", "b", "--name", "c"]);
        let expected =
            Options { kubeconfig: "a".into(), name: Some("c".to_owned()), port: 6443, seed: Some("b".into()) };
        assert_eq!(all.as_ref(), Ok(&expected));
        let joined = parse(&["--port=6443", "--kubeconfig=a", "--seed=b", "--name=c"]);
        assert_eq!(joined, all);
        assert_eq!(parse(&["--kubeconfig", "a"]).map(|options| options.port), Ok(0));
        for (arguments, problem) in [
            (&[][..], "--kubeconfig is missing"),
            (&["--kubeconfig"], "--kubeconfig needs a value"),
            (&["--kubeconfig", "a", "--port", "x"], "--port takes a port, not x"),
            (&["--verbose"], "unknown argument --verbose"),
            (&["--verbose=a"], "unknown argument --verbose=a"),
            (&["--port="], "--port takes a port, not "),
        ] {
            assert_eq!(parse(arguments), Err(problem.to_owned()));
        }
    }
}
