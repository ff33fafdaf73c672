//! Servers and proxies that would be spoken to somewhere else, or shown to whoever traces requests.

use clientmgr_kube::kube::Config;
use clientmgr_kube::{ConnectFailure, Endpoint, KubeconfigProblem};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::support::{builder, connect, everything, key, kubeconfig, problem};

/// What is wrong with a server, in a kubeconfig and in a ready configuration alike.
async fn server_problem(server: &str) -> KubeconfigProblem {
    let fleet = builder().build();
    fleet.upsert(key("east"), Endpoint::from_config(Config::new(server.parse().unwrap())));
    let error = fleet.connect(&key("east")).await.unwrap_err();
    let found = problem(&kubeconfig(|cluster, _| cluster.server = Some(server.into()))).await;
    let told = [everything(&error), everything(&found)].concat();
    assert!(!told.contains("sesame"), "{told}");
    assert!(error.needs_other_configuration());
    let ConnectFailure::Kubeconfig(ready) = error.failure() else { panic!("{error:?}") };
    assert_eq!(ready.to_string(), found.to_string());
    found
}

#[tokio::test]
async fn a_password_in_the_server_is_refused_before_anything_is_sent() {
    for server in ["https://me:sesame@127.0.0.1:1", "http://sesame@127.0.0.1:1"] {
        assert!(matches!(server_problem(server).await, KubeconfigProblem::ServerCredentials), "{server}");
    }
}

#[tokio::test]
async fn a_query_of_the_server_is_not_dropped() {
    assert!(matches!(server_problem("https://127.0.0.1:1?key=sesame").await, KubeconfigProblem::ServerQuery));
    let fragment = kubeconfig(|cluster, _| cluster.server = Some("https://127.0.0.1:1/#sesame".into()));
    assert!(matches!(problem(&fragment).await, KubeconfigProblem::ServerQuery));
}

#[tokio::test]
async fn a_port_beyond_the_last_is_an_error_and_not_the_usual_port() {
    for server in ["https://127.0.0.1:65536", "https://127.0.0.1:99999999999", "http://127.0.0.1:0"] {
        assert!(matches!(server_problem(server).await, KubeconfigProblem::MalformedServer), "{server}");
    }
    for proxy in ["http://127.0.0.1:65536", "http://me:sesame@127.0.0.1:99999999999"] {
        let with_proxy = kubeconfig(|cluster, _| cluster.proxy_url = Some(proxy.into()));
        assert!(matches!(problem(&with_proxy).await, KubeconfigProblem::MalformedProxy), "{proxy}");
    }
}

#[tokio::test]
async fn a_host_that_is_no_name_needs_another_configuration() {
    for server in ["https://a..b:1", "http://a..b:1"] {
        assert!(matches!(server_problem(server).await, KubeconfigProblem::ServerHost), "{server}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_without_an_answer_cuts_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let kubeconfig = kubeconfig(|cluster, _| cluster.server = Some(server));
    let hanging_up = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        // All of it: a server that leaves something unread resets the connection.
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "the request was cut");
        }
    };
    let (outcome, ()) = futures::future::join(connect(&kubeconfig), hanging_up).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.to_string(), "cluster east: the server was not reached: the connection was cut");
}
