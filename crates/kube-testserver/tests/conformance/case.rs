//! What a test gets: a server, a namespace of its own on it, and ways to ask.

use std::sync::Arc;

use http::{HeaderMap, Request, header};
use http_body_util::BodyExt as _;
use kube::{Client, client::Body};
use serde_json::{Value, json};

use crate::{
    answer::Answer,
    frames::Frames,
    target::{Target, Who},
    test::Outcome,
};

/// A test's place on the server that all tests share.
pub(crate) struct Case {
    target: Arc<Target>,
    namespace: String,
    admin: Client,
}

impl Case {
    pub(crate) async fn new(target: Arc<Target>) -> Result<Self, Box<dyn std::error::Error>> {
        let admin = target.client(Who::Admin, "default").await?;
        let mut case = Self { target, namespace: String::new(), admin };
        let wanted = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "conformance-"}});
        let made = case.post("/api/v1/namespaces", &wanted).await.expect(201);
        made["metadata"]["name"].as_str().expect("a generated name").clone_into(&mut case.namespace);
        Ok(case)
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// The namespace that is this test's alone.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A word no other test has, in any run on this server: for what is not in a namespace.
    pub(crate) fn unique(&self) -> &str {
        self.namespace.trim_start_matches("conformance-")
    }

    /// The administrator's client, whose default namespace is the test's.
    pub(crate) async fn client(&self) -> Client {
        self.client_of(Who::Admin).await
    }

    /// A client with this credential, whose default namespace is the test's.
    pub(crate) async fn client_of(&self, who: Who) -> Client {
        self.target.client(who, &self.namespace).await.expect("the target's own credentials make a client")
    }

    /// The path of a namespaced core resource.
    pub(crate) fn core(&self, resource: &str) -> String {
        format!("/api/v1/namespaces/{}/{resource}", self.namespace)
    }

    /// The path of the test's `ConfigMap`s.
    pub(crate) fn maps(&self) -> String {
        self.core("configmaps")
    }

    /// The path of the test's widgets, a custom resource that is served from now on if it was not yet.
    pub(crate) async fn widgets(&self) -> String {
        self.target.define_widgets(self).await;
        format!("/apis/{}/v1/namespaces/{}/widgets", crate::fixtures::WIDGET_GROUP, self.namespace)
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], "").await
    }

    pub(crate) async fn get_as(&self, target: &str, accept: &str) -> Answer {
        self.send("GET", target, &[("accept", accept)], "").await
    }

    pub(crate) async fn post(&self, target: &str, body: &Value) -> Answer {
        self.send("POST", target, &[("content-type", "application/json")], &body.to_string()).await
    }

    pub(crate) async fn put(&self, target: &str, body: &Value) -> Answer {
        self.send("PUT", target, &[("content-type", "application/json")], &body.to_string()).await
    }

    pub(crate) async fn delete(&self, target: &str) -> Answer {
        self.send("DELETE", target, &[], "").await
    }

    pub(crate) async fn delete_with(&self, target: &str, options: &Value) -> Answer {
        let mut body = options.clone();
        body["apiVersion"] = "v1".into();
        body["kind"] = "DeleteOptions".into();
        self.send("DELETE", target, &[("content-type", "application/json")], &body.to_string()).await
    }

    pub(crate) async fn patch(&self, target: &str, kind: &str, body: &Value) -> Answer {
        let suffix = if kind == "apply" { "yaml" } else { "json" };
        let content_type = format!("application/{kind}-patch+{suffix}");
        self.send("PATCH", target, &[("content-type", &content_type)], &body.to_string()).await
    }

    /// A server-side apply by a manager; `more` goes behind it in the query.
    pub(crate) async fn apply(&self, target: &str, manager: &str, more: &str, body: &Value) -> Answer {
        self.patch(&format!("{target}?fieldManager={manager}{more}"), "apply", body).await
    }

    pub(crate) async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        send(&self.admin, method, target, headers, body).await
    }

    /// The minor version of the server: 36 of 1.36.
    pub(crate) async fn minor_version(&self) -> u32 {
        let version = self.get("/version").await.expect(200);
        let minor = version["minor"].as_str().expect("a minor version").trim_end_matches('+');
        minor.parse().expect("a number")
    }

    /// Opens a watch. `query` continues the query after `watch=true`.
    pub(crate) async fn watch(&self, path: &str, query: &str) -> Frames {
        self.watch_as(path, query, "application/json").await
    }

    pub(crate) async fn watch_as(&self, path: &str, query: &str, accept: &str) -> Frames {
        let target = format!("{path}?watch=true{query}");
        let request = request("GET", &target, &[("accept", accept)], "");
        let response = self.admin.send(request).await.expect("the server answers");
        assert_eq!(response.status(), 200, "{target}");
        Frames::new(response.into_body())
    }

    /// Waits until a question is answered as `is_right` wants it, for what the real server does a moment later.
    pub(crate) async fn eventually(&self, target: &str, is_right: impl Fn(&Answer) -> bool) -> Answer {
        let mut rounds = tokio::time::interval(std::time::Duration::from_millis(50));
        loop {
            rounds.tick().await;
            let answer = self.get(target).await;
            if is_right(&answer) {
                return answer;
            }
        }
    }

    /// Waits until a resource can be watched: a real server fills its cache first, and says 429 until then.
    async fn watchable(&self, path: &str) {
        let mut rounds = tokio::time::interval(std::time::Duration::from_millis(50));
        loop {
            rounds.tick().await;
            let request = request("GET", &format!("{path}?watch=true"), &[], "");
            if self.admin.send(request).await.expect("the server answers").status() == 200 {
                return;
            }
        }
    }

    /// Makes a definition and waits until its resource is served.
    pub(crate) async fn define(&self, definition: &Value) -> Outcome {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let answer = self.post(path, definition).await;
        assert!(matches!(answer.code, 201 | 409), "{}", answer.text);
        let text = |pointer: &str| definition.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let name = text("/metadata/name");
        let selector = format!("&fieldSelector=metadata.name={name}");
        let mut frames = self.watch(path, &selector).await;
        while let Some((_, object)) = frames.next().await {
            if is_condition_true(&object, "Established") {
                break;
            }
        }
        // A real server may need a moment more until it has heard that itself.
        let (group, plural) = (text("/spec/group"), text("/spec/names/plural"));
        for version in definition["spec"]["versions"].as_array().into_iter().flatten() {
            let version = version["name"].as_str().unwrap_or_default();
            let served = definition["spec"]["versions"]
                .as_array()
                .is_some_and(|known| known.iter().any(|known| known["name"] == version && known["served"] == true));
            if served {
                let target = format!("/apis/{group}/{version}/{plural}");
                self.eventually(&target, |answer| answer.code == 200).await;
                self.watchable(&target).await;
            }
        }
        Ok(())
    }
}

/// Whether a condition of an object's status holds.
pub(crate) fn is_condition_true(object: &Value, kind: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// Asks with any client and reads the whole answer, whatever its code.
pub(crate) async fn send(client: &Client, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let response = client.send(request(method, target, headers, body)).await.expect("the server answers");
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("the answer is not cut").to_bytes();
    Answer::new(head.status.as_u16(), head.headers, &body)
}

fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut map = HeaderMap::new();
    map.insert(header::ACCEPT, header::HeaderValue::from_static("application/json"));
    map.insert(header::USER_AGENT, header::HeaderValue::from_static("conformance/1"));
    for (name, value) in headers {
        let name: header::HeaderName = name.parse().expect("a header's name");
        map.insert(name, header::HeaderValue::from_str(value).expect("a header's value"));
    }
    let mut request = Request::builder().method(method).uri(target);
    request.headers_mut().expect("nothing was wrong so far").extend(map);
    request.body(Body::from(body.as_bytes().to_vec())).expect("a well-formed request")
}
