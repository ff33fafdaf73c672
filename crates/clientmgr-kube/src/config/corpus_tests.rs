//! Holds this crate against a corpus of kubeconfigs with what kubectl makes of each. Each case asks an API server who it
//! takes the client for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clientmgr_fake::apiserver::{Loopback, TestServer};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::PostParams;
use serde::Deserialize;
use tempfile::TempDir;

use super::{Credentials, Loaded, contexts, load, read_kubeconfig_from};
use crate::error::{ConnectError, Failure};
use crate::{ClusterConfig, auth};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kubeconfigs");
const DEADLINE: Duration = Duration::from_secs(20);

/// Names the kubectl to compare the recorded outcomes with.
const KUBECTL: &str = "CLIENTMGR_KUBECTL";

#[derive(Deserialize)]
struct Corpus {
    parts: Parts,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Parts {
    header: String,
    contexts: String,
    clusters: String,
    users: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    header: Option<String>,
    contexts: Option<String>,
    clusters: Option<String>,
    users: Option<String>,
    text: Option<String>,
    /// What kubectl did.
    kubectl: String,
    /// What this crate does, where that differs.
    here: Option<String>,
    /// The field that this crate's error names.
    field: Option<String>,
    /// Why it differs.
    why: Option<String>,
}

impl Corpus {
    fn read() -> Self {
        let text = fs::read_to_string(Path::new(DIRECTORY).join("corpus.yaml")).unwrap();
        serde_saphyr::from_str(&text).unwrap()
    }

    /// Returns the kubeconfig of `case`, with its placeholders.
    fn text(&self, case: &Case) -> String {
        let part = |own: &Option<String>, usual: &String| own.as_ref().unwrap_or(usual).trim_end().to_owned();
        let contexts = format!("contexts: {}", part(&case.contexts, &self.parts.contexts));
        let clusters = format!("clusters: {}", part(&case.clusters, &self.parts.clusters));
        let users = format!("users: {}", part(&case.users, &self.parts.users));
        let text = case.text.as_deref().unwrap_or("$HEADER\n$CONTEXTS\n$CLUSTERS\n$USERS\n");
        text.replace("$HEADER", &part(&case.header, &self.parts.header))
            .replace("$CONTEXTS", &contexts)
            .replace("$CLUSTERS", &clusters)
            .replace("$USERS", &users)
    }
}

/// The servers that are asked, and the files that kubeconfigs name.
struct Harness {
    directory: TempDir,
    placeholders: Vec<(&'static str, String)>,
    /// Shut down when dropped.
    _servers: [TestServer<Loopback>; 3],
}

impl Harness {
    async fn start() -> Self {
        let server = TestServer::start_default().await.unwrap();
        let plain = TestServer::builder().plain_http().start().await.unwrap();
        let other = TestServer::start_default().await.unwrap();
        let jwt = format!(
            "{}.{}.c2ln",
            STANDARD.encode(r#"{"alg":"none"}"#),
            STANDARD.encode(r#"{"sub":"grace","exp":4102444800}"#).trim_end_matches('=')
        );
        for (user, token) in [("alice", "alice-token"), ("bob", "bob-token"), ("dave", "dave-token"), ("grace", &jwt)] {
            server.accept_token(impersonator(user), token);
            plain.accept_token(user, token);
        }
        let identity = server.issue_certificate(impersonator("carol"), Duration::from_secs(3600)).unwrap();
        let unrelated = server.issue_certificate("nobody", Duration::from_secs(3600)).unwrap();
        let (certificate, key) = (identity.certificate_pem().unwrap(), identity.key_pem().unwrap());
        let ca = server.ca_pem().unwrap();
        let wrapped: Vec<_> = STANDARD.encode(certificate).as_bytes().chunks(64).map(line).collect();

        let directory = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("token", "bob-token"),
            ("token-newline", "bob-token\n"),
            ("empty", ""),
            ("ca.crt", &ca),
            ("bundle.crt", &format!("{}{ca}", other.ca_pem().unwrap())),
            ("commented.crt", &format!("subject: us\n\n{ca}\n# the end\n")),
            ("unended.crt", ca.trim_end()),
            ("client.crt", certificate),
            ("client.key", key),
        ] {
            fs::write(directory.path().join(name), text).unwrap();
        }
        std::os::unix::fs::symlink(Path::new(DIRECTORY).join("bin/plugin"), directory.path().join("plugin")).unwrap();
        let placeholders = vec![
            ("$WRAPPED_CERT", wrapped.concat().trim_end().to_owned()),
            ("$OTHER_KEY", STANDARD.encode(unrelated.key_pem().unwrap())),
            ("$OTHER_CA", STANDARD.encode(other.ca_pem().unwrap())),
            ("$SERVER", server.url()),
            ("$CERT", STANDARD.encode(certificate)),
            ("$HTTP", plain.url()),
            ("$HOST", server.url().trim_start_matches("https://").trim_end_matches('/').to_owned()),
            ("$KEY", STANDARD.encode(key)),
            ("$DIR", directory.path().to_str().unwrap().to_owned()),
            ("$BIN", format!("{DIRECTORY}/bin")),
            ("$JWT", jwt),
            ("$CA", STANDARD.encode(&ca)),
        ];
        Self { directory, placeholders, _servers: [server, plain, other] }
    }

    /// Writes a kubeconfig to a file.
    fn write(&self, text: &str) -> PathBuf {
        let path = self.directory.path().join("kubeconfig");
        let text = self.placeholders.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
        fs::write(&path, text).unwrap();
        path
    }
}

/// A user who may impersonate others.
fn impersonator(name: &str) -> clientmgr_fake::apiserver::User {
    clientmgr_fake::apiserver::User::new(name).group("system:masters")
}

fn line(chunk: &[u8]) -> String {
    format!("      {}\n", String::from_utf8_lossy(chunk))
}

/// Returns what this crate makes of a kubeconfig, and the field that its error names.
async fn outcome(path: &Path) -> (String, Option<String>) {
    match loaded(path).await {
        Ok((loaded, token)) => ask(loaded, token).await,
        Err(error) => ("refused".to_owned(), error.field().map(str::to_owned)),
    }
}

async fn loaded(path: &Path) -> Result<(Loaded, Option<String>), ConnectError> {
    let kubeconfig = read_kubeconfig_from(path)?;
    let context = kubeconfig.current_context.clone().or_else(|| contexts(&kubeconfig).next().map(str::to_owned));
    let config = ClusterConfig::from_kubeconfig(&kubeconfig, &context.unwrap_or_default());
    assert_eq!(config, config.clone());
    let loaded = load(&config).map_err(ConnectError::without_cluster)?;
    assert!(config.validate().is_ok(), "what loads is valid");
    let header = match &loaded.credentials {
        Credentials::None | Credentials::Kube => None,
        Credentials::Token(token) | Credentials::TokenFile(token) => Some(token.header()),
        Credentials::Exec(exec) => {
            let issued = auth::run(exec, DEADLINE, &crate::work::BlockingWorker::new())
                .await
                .map_err(ConnectError::without_cluster)?;
            issued.token.map(|token| token.header())
        }
    };
    let token = header.map(|header| header.to_str().unwrap().trim_start_matches("Bearer ").to_owned());
    Ok((loaded, token))
}

/// Returns as which user the server sees the client, and the field that is wrong.
async fn ask(loaded: Loaded, token: Option<String>) -> (String, Option<String>) {
    let mut config = loaded.config.clone();
    if let Some(identity) = &loaded.client_cert {
        identity.put_into(&mut config);
    }
    config.auth_info.token = token.map(Into::into);
    config.default_retry = false;
    let client = match kube::Client::try_from(config) {
        Ok(client) => client,
        Err(error) => {
            let failure = loaded.locate(super::translate::building(error));
            assert!(!matches!(failure, Failure::Refused), "an error without a reason");
            return ("refused".to_owned(), failure.field().map(str::to_owned));
        }
    };
    let api = kube::Api::<SelfSubjectReview>::all(client);
    let user = match api.create(&PostParams::default(), &SelfSubjectReview::default()).await {
        Ok(review) => {
            review.status.and_then(|status| status.user_info).and_then(|user| user.username).unwrap_or_default()
        }
        Err(kube::Error::Api(status)) if status.code == 401 => "401".to_owned(),
        Err(kube::Error::Api(status)) if status.code == 403 => "anonymous".to_owned(),
        Err(error) => match crate::config::translate::cut_off(error.into()).kind() {
            crate::ConnectErrorKind::Tls => "tls".to_owned(),
            kind => format!("{kind:?}"),
        },
    };
    (user, None)
}

#[tokio::test]
async fn a_kubeconfig_means_what_it_means_to_kubectl() {
    let corpus = Corpus::read();
    let harness = Harness::start().await;
    let mut wrong = Vec::new();
    for case in &corpus.cases {
        let (found, field) = outcome(&harness.write(&corpus.text(case))).await;
        assert_eq!(case.here.is_some(), case.why.is_some(), "{}: each difference has a reason", case.name);
        assert_ne!(case.here.as_ref(), Some(&case.kubectl), "{}: this is no difference", case.name);
        let expected = case.here.as_ref().unwrap_or(&case.kubectl);
        if (expected, &case.field) != (&found, &field) {
            wrong.push(format!("{}: {found} {field:?}, not {expected} {:?}", case.name, case.field));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), corpus.cases.len(), wrong.join("\n"));
}

#[tokio::test]
async fn the_recorded_outcomes_are_those_of_kubectl() {
    let Some(kubectl) = std::env::var_os(KUBECTL) else { return };
    let corpus = Corpus::read();
    let harness = Harness::start().await;
    let mut wrong = Vec::new();
    for case in &corpus.cases {
        let path = harness.write(&corpus.text(case));
        let asking = tokio::task::spawn_blocking({
            let (kubectl, home) = (kubectl.clone(), harness.directory.path().to_owned());
            move || {
                Command::new(kubectl)
                    .args(["auth", "whoami", "--request-timeout=20s", "-o", "jsonpath={.status.userInfo.username}"])
                    .arg("--kubeconfig")
                    .arg(path)
                    .env("HOME", home)
                    .stdin(Stdio::null())
                    .output()
            }
        });
        let output = asking.await.unwrap().unwrap();
        let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let found = match () {
            () if output.status.success() => &said,
            () if complaint.contains("Unauthorized") => "401",
            () if complaint.contains("you do not have permission") => "anonymous",
            () if complaint.contains("failed to verify certificate") => "tls",
            () => "refused",
        };
        if found != case.kubectl {
            wrong.push(format!("{}\t{found}\t{}", case.name, complaint.replace('\n', " ")));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), corpus.cases.len(), wrong.join("\n"));
}
