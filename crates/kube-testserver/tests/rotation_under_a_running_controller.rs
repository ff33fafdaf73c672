//! Credentials are rotated while a controller runs: with a client that takes new ones it goes on and nothing fails; with
//! one that cannot, the failure is typed and the log shows that nothing was done with what was refused.
//! `docs/testing-your-controller.md` explains it.

mod greeter;

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Request, Response};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, ResourceExt as _, api::PostParams, client::Body};
use kube_testserver::{EndReason, Requests, TestServer};
use tower::Service;

/// A transport whose client can be put in place of another while requests go through it.
#[derive(Clone)]
struct Swappable(Arc<Mutex<Client>>);

impl Swappable {
    fn new(first: Client) -> (Client, Self) {
        let transport = Self(Arc::new(Mutex::new(first)));
        (Client::new(transport.clone(), "default"), transport)
    }

    fn swap(&self, next: Client) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }
}

impl Service<Request<Body>> for Swappable {
    type Response = Response<Body>;
    type Error = kube::Error;
    type Future = BoxFuture<'static, kube::Result<Response<Body>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<kube::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let current = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move { current.send(request).await })
    }
}

#[tokio::test]
async fn a_controller_goes_on_when_its_client_takes_the_new_credentials() -> Result<(), Box<dyn Error>> {
    let server = TestServer::builder().start().await?;
    let old = server.issue_token("greeter");
    let (client, transport) = Swappable::new(server.client_for(&old).await?);
    let controller = tokio::spawn(greeter::run(client, |error| panic!("nothing may fail: {error}")));

    let maps: Api<ConfigMap> = Api::default_namespaced(server.client().await?);
    maps.create(&PostParams::default(), &greeter::asking("first")).await?;
    let greetings = Requests::patch("configmaps").user("greeter");
    server.wait_for(greetings.clone().name("first").status(200).with(old.fingerprint())).await;
    // With its watch open and the greeting answered, the controller has no request under way.
    server.wait_for(Requests::any().verb("watch").answered().with(old.fingerprint())).await;

    // The new token is issued and used while the old one is still valid. Then the old one is revoked.
    let new = server.rotate_token(&old, Duration::from_secs(3600));
    transport.swap(server.client_for(&new).await?);
    server.revoke(old.fingerprint());
    let rotated = server.marker();

    // An open watch outlives its token, as on a real server. The next watch must use the new token.
    server.end_watches(&Requests::any().user("greeter"));
    server.wait_for(Requests::any().verb("watch").since(rotated).with(new.fingerprint())).await;
    maps.create(&PostParams::default(), &greeter::asking("second")).await?;
    server.wait_for(greetings.name("second").status(200).with(new.fingerprint())).await;
    assert_eq!(maps.get("second").await?.annotations()["example.com/greeting"], "hello, second");

    // The server's log proves it.
    let with_the_old = server.requests_matching(Requests::any().since(rotated).with(old.fingerprint()));
    assert!(with_the_old.is_empty(), "{with_the_old:?}");
    assert!(server.requests_matching(Requests::any().status(401)).is_empty());
    controller.abort();
    Ok(())
}

#[tokio::test]
async fn a_controller_with_a_fixed_client_fails_typed_and_does_nothing_more() -> Result<(), Box<dyn Error>> {
    let server = TestServer::builder().start().await?;
    let old = server.issue_token("greeter");
    let (report, mut failures) = tokio::sync::mpsc::unbounded_channel();
    let failed = move |error: &kube::Error| {
        _ = report.send(matches!(error, kube::Error::Api(status) if status.code == 401));
    };
    let controller = tokio::spawn(greeter::run(server.client_for(&old).await?, failed));
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client().await?);
    server.wait_for(Requests::any().user("greeter").verb("watch").answered()).await;

    server.rotate_token(&old, Duration::ZERO);
    maps.create(&PostParams::default(), &greeter::asking("late")).await?;

    // The watch is still open, so the controller hears of the object; its patch is refused.
    assert_eq!(failures.recv().await, Some(true), "the error says that it is the credentials");
    let refused = server.wait_for(Requests::any().status(401).with(old.fingerprint())).await;
    assert_eq!((refused.verb(), refused.name(), refused.user.as_ref()), ("patch", Some("late"), None));
    assert!(maps.get("late").await?.annotations().is_empty());
    controller.abort();
    Ok(())
}

#[tokio::test]
async fn a_controller_goes_on_when_the_rotation_cuts_its_connections() -> Result<(), Box<dyn Error>> {
    let server = TestServer::builder().start().await?;
    let old = server.issue_token("greeter");
    let (client, transport) = Swappable::new(server.client_for(&old).await?);
    let controller = tokio::spawn(greeter::run(client, |_| {}));
    let watches = Requests::any().user("greeter").verb("watch");
    server.wait_for(watches.clone().answered()).await;

    let new = server.rotate_token(&old, Duration::ZERO);
    transport.swap(server.client_for(&new).await?);
    let rotated = server.marker();
    server.cut_connections();
    let cut = server.wait_for(watches.clone().ended()).await;
    assert!(cut.ended.is_some_and(|ended| ended.reason == EndReason::ServerCut), "{cut:?}");

    server.wait_for(watches.since(rotated).answered().with(new.fingerprint())).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client().await?);
    maps.create(&PostParams::default(), &greeter::asking("world")).await?;
    let greeting = Requests::patch("configmaps").name("world");
    server.wait_for(greeting.status(200).with(new.fingerprint())).await;
    controller.abort();
    Ok(())
}
