//! Sends the requests of a recording to the server and compares the answers.

use std::{collections::HashMap, error::Error, fmt};

use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube_testserver::{NoSocket, TestServer, TestService};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{
    compare::{difference, normalize, remove_random_order, without_messages},
    recording::{Precondition, Sequence, Step},
};

type Failure = Box<dyn Error>;

/// A server that has the definitions of the recorded custom resources.
#[derive(Debug)]
pub(crate) struct Replayer {
    service: TestService,
    _server: TestServer<NoSocket>,
    /// How many answers differed in a message only.
    pub(crate) messages: usize,
}

/// The resource versions of the objects of a sequence, by path.
#[derive(Debug, Default)]
struct Versions {
    current: HashMap<String, String>,
    stale: HashMap<String, String>,
}

/// The first answer of a sequence that is not as recorded.
#[derive(Debug)]
pub(crate) struct Difference {
    request: String,
    path: String,
    recorded: String,
    answered: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request, path, recorded, answered } = self;
        writeln!(f, "{request}\n  at {path}\n  recorded {recorded}\n  answered {answered}")
    }
}

impl Replayer {
    pub(crate) fn start() -> Result<Self, Failure> {
        let mut builder = TestServer::builder();
        for definition in serde_json::from_str::<Vec<Value>>(include_str!("definitions.json"))? {
            builder = builder.install(definition);
        }
        let server = builder.start_without_socket()?;
        Ok(Self { service: server.service(server.admin()), _server: server, messages: 0 })
    }

    /// Replays a sequence up to the first difference that is more than a message.
    pub(crate) async fn first_difference(&mut self, sequence: &Sequence) -> Result<Option<Difference>, Failure> {
        let Sequence { kind, seed, steps } = sequence;
        let namespace = format!("golden-{kind}-{seed}");
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let (code, _) = self.send("POST", "/api/v1/namespaces", Some((&object, "application/json"))).await?;
        assert_eq!(code, StatusCode::CREATED, "the namespace {namespace} could not be created");
        let list = format!("/api/v1/namespaces/{namespace}/configmaps");
        let start = version(&serde_json::from_str(&self.send("GET", &list, None).await?.1)?).to_owned();

        let mut versions = Versions::default();
        for (at, step) in steps.iter().enumerate() {
            let path = step.path.replace("NS", &namespace).replace("START", &start);
            let body = step.body.as_ref().map(|body| versions.put_into(body, step));
            let media_type = step.media_type.as_deref().unwrap_or("application/json");
            let (code, text) = self.send(&step.method, &path, body.as_ref().map(|body| (body, media_type))).await?;
            let mut answer = if path.contains("watch=1") {
                text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?.into()
            } else {
                serde_json::from_str(&text)?
            };
            versions.learn(step, &answer);
            normalize(&mut answer, &namespace);
            let mut recorded = step.answer.clone();
            remove_random_order(&mut recorded);
            remove_random_order(&mut answer);
            let codes = (json!(step.code), json!(code.as_u16()));
            self.messages += usize::from(recorded != answer);
            let (recorded, answer) = (without_messages(&recorded), without_messages(&answer));
            let found = difference(Some(&codes.0), Some(&codes.1), "code")
                .or_else(|| difference(Some(&recorded), Some(&answer), ""));
            self.messages -= usize::from(found.is_some());
            if let Some((path, recorded, answered)) = found {
                let shown = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
                let body = shown(step.body.as_ref());
                return Ok(Some(Difference {
                    request: format!("{kind} {seed}, request {at}: {} {} {body}", step.method, step.path),
                    path,
                    recorded: shown(recorded),
                    answered: shown(answered),
                }));
            }
        }
        Ok(None)
    }

    async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: Option<(&Value, &str)>,
    ) -> Result<(StatusCode, String), Failure> {
        // The name before the slash becomes the field manager of requests that name none.
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::USER_AGENT, "golden/1")
            .header(header::ACCEPT, "application/json");
        if let Some((_, media_type)) = body {
            request = request.header(header::CONTENT_TYPE, media_type);
        }
        let bytes = body.map_or_else(Vec::new, |(body, _)| body.to_string().into_bytes());
        let response = self.service.clone().oneshot(request.body(Body::from(bytes))?).await?;
        let (head, body) = response.into_parts();
        Ok((head.status, String::from_utf8(body.collect().await?.to_bytes().into())?))
    }
}

impl Versions {
    /// The body with the resource version that it was recorded with.
    fn put_into(&self, body: &Value, step: &Step) -> Value {
        let mut body = body.clone();
        let known = match step.resource_version {
            None => return body,
            Some(Precondition::None) => None,
            Some(Precondition::Current) => self.current.get(object_path(step)),
            Some(Precondition::Stale) => self.stale.get(object_path(step)),
        };
        if let Some(metadata) = body["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
            if let Some(known) = known {
                metadata.insert("resourceVersion".to_owned(), known.as_str().into());
            }
        }
        body
    }

    /// Takes over the resource version of the object in an answer.
    fn learn(&mut self, step: &Step, answer: &Value) {
        let name = answer["metadata"]["name"].as_str().unwrap_or_default();
        let other = matches!(answer["kind"].as_str(), Some("Status" | "Scale"));
        if name.is_empty() || other || step.path.contains("dryRun") {
            return;
        }
        let key = match step.method.as_str() {
            "POST" => format!("{}/{name}", object_path(step)),
            _ => object_path(step).to_owned(),
        };
        let new = version(answer).to_owned();
        let old = self.current.insert(key.clone(), new.clone());
        if old.as_ref() != Some(&new) {
            self.stale.insert(key, old.unwrap_or_else(|| "1".to_owned()));
        }
    }
}

/// The path without its query and subresource.
fn object_path(step: &Step) -> &str {
    let path = step.path.split('?').next().unwrap_or_default();
    path.strip_suffix("/status").or_else(|| path.strip_suffix("/scale")).unwrap_or(path)
}

fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default()
}
