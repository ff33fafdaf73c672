//! Authentication and authorization by the in-process API server, with kube's own client on real TLS.

use std::{error::Error, time::Duration};

use k8s_openapi::api::{authentication::v1::SelfSubjectReview, core::v1::ConfigMap};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use kube_testserver::{Anonymous, CertificateError, Credential, Requests, TestServer, User};

type Outcome = Result<(), Box<dyn Error>>;

const HOUR: Duration = Duration::from_secs(3600);

async fn list(client: &Client) -> Result<(), kube::Error> {
    Api::<ConfigMap>::default_namespaced(client.clone()).list(&ListParams::default()).await.map(drop)
}

/// The code and message of the Status a request was refused with.
fn status(outcome: Result<(), kube::Error>) -> Option<(u16, String)> {
    match outcome {
        Err(kube::Error::Api(status)) => Some((status.code, status.message.clone())),
        _ => None,
    }
}

fn code(outcome: Result<(), kube::Error>) -> Option<u16> {
    status(outcome).map(|(code, _)| code)
}

async fn whoami(client: &Client) -> Result<(String, Vec<String>), kube::Error> {
    let review = Api::<SelfSubjectReview>::all(client.clone())
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await?;
    let user = review.status.and_then(|status| status.user_info).unwrap_or_default();
    Ok((user.username.unwrap_or_default(), user.groups.unwrap_or_default()))
}

async fn client_of(kubeconfig: Kubeconfig) -> Result<Client, Box<dyn Error>> {
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

fn get(path: &str, headers: &[(&str, &str)]) -> http::Request<Vec<u8>> {
    let request = http::Request::get(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(Vec::new()).expect("a valid request")
}

#[tokio::test]
async fn a_users_own_token_of_a_service_account_needs_no_account() -> Outcome {
    const NAME: &str = "system:serviceaccount:default:ctrl";
    let user = || User::new(NAME).uid("1");
    let server = TestServer::builder().token(user(), "t-1").start().await?;
    for credential in
        [server.issue_token(user()), server.accept_token(user(), "t-1"), server.issue_certificate(user(), HOUR)?]
    {
        assert_eq!(whoami(&server.client_for(&credential).await?).await?.0, NAME, "{credential:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_token_authenticates_its_user_and_groups() -> Outcome {
    let server = TestServer::builder().token(User::new("alice").group("developers"), "t-1").start().await?;
    let alice = server.client_for(&server.accept_token(User::new("alice").group("developers"), "t-1")).await?;
    let (user, groups) = whoami(&alice).await?;
    assert_eq!(user, "alice");
    assert_eq!(groups, ["developers", "system:authenticated"]);
    let (user, groups) = whoami(&server.client().await?).await?;
    assert_eq!((user.as_str(), groups.contains(&"system:masters".to_owned())), ("admin", true));
    Ok(())
}

#[tokio::test]
async fn a_certificate_authenticates_its_user_and_groups() -> Outcome {
    let server = TestServer::start_default().await?;
    let user = User::new("bob").group("one").group("two");
    let certificate = server.issue_certificate(user, HOUR)?;
    let bob = server.client_for(&certificate).await?;
    assert_eq!(
        whoami(&bob).await?,
        ("bob".to_owned(), ["one", "two", "system:authenticated"].map(str::to_owned).to_vec())
    );
    let seen = server.wait_for(Requests::any().user("bob")).await;
    assert_eq!(seen.fingerprint, Some(certificate.fingerprint()));
    Ok(())
}

#[tokio::test]
async fn the_yaml_form_of_a_kubeconfig_works_as_well() -> Outcome {
    let server = TestServer::builder().name("it's: \"me\"").start().await?;
    for credential in [server.issue_token("alice"), server.issue_certificate("alice", HOUR)?] {
        let read = Kubeconfig::from_yaml(&server.kubeconfig_yaml(&credential))?;
        assert_eq!(whoami(&client_of(read).await?).await?.0, "alice");
    }
    Ok(())
}

#[tokio::test]
async fn a_revoked_token_is_refused_on_the_connection_it_was_good_on() -> Outcome {
    let server = TestServer::start_default().await?;
    let token = server.issue_token("alice");
    let alice = server.client_for(&token).await?;
    list(&alice).await?;
    assert!(server.revoke_token(token.token().unwrap_or_default()));
    assert_eq!(status(list(&alice).await), Some((401, "Unauthorized".to_owned())));
    Ok(())
}

#[tokio::test]
async fn a_revoked_certificate_is_answered_401_and_not_a_broken_handshake() -> Outcome {
    let server = TestServer::start_default().await?;
    let certificate = server.issue_certificate("bob", HOUR)?;
    let bob = server.client_for(&certificate).await?;
    list(&bob).await?;
    assert!(server.revoke(certificate.fingerprint()));
    assert_eq!(code(list(&bob).await), Some(401));
    server.cut_connections();
    let later = server.client_for(&certificate).await?;
    assert_eq!(code(list(&later).await), Some(401));
    Ok(())
}

#[tokio::test]
async fn an_expired_certificate_is_answered_401() -> Outcome {
    let server = TestServer::start_default().await?;
    let expired = server.issue_certificate("bob", Duration::ZERO)?;
    assert_eq!(code(list(&server.client_for(&expired).await?).await), Some(401));
    Ok(())
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_answered_401() -> Outcome {
    let (server, other) = (TestServer::start_default().await?, TestServer::start_default().await?);
    let foreign = other.issue_certificate("bob", HOUR)?;
    assert_eq!(code(list(&server.client_for(&foreign).await?).await), Some(401));
    Ok(())
}

#[tokio::test]
async fn plain_http_has_no_certificates() -> Outcome {
    let server = TestServer::builder().plain_http().start().await?;
    assert!(matches!(server.issue_certificate("bob", HOUR), Err(CertificateError::NeedsTls(_))));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_rotated_token_is_good_for_the_grace_and_no_longer() -> Outcome {
    let server = TestServer::builder().start_without_socket()?;
    let client = |credential: &Credential| Client::new(server.service(credential.clone()), "default");
    for grace in [Duration::ZERO, HOUR] {
        let old = server.issue_token("alice");
        let new = server.rotate_token(&old, grace);
        assert_eq!(new.user().name(), "alice");
        if let Some(before) = grace.checked_sub(Duration::from_millis(1)) {
            tokio::time::advance(before).await;
            list(&client(&old)).await?;
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(code(list(&client(&old)).await), Some(401), "{grace:?}");
        list(&client(&new)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn rotating_the_administrators_token_makes_the_new_one_the_administrators() -> Outcome {
    let server = TestServer::builder().start_without_socket()?;
    let (old, client) = (server.admin(), server.client());
    let new = server.rotate_token(&old, Duration::ZERO);
    assert_eq!(server.admin().fingerprint(), new.fingerprint());
    assert_eq!(code(list(&client).await), Some(401));
    list(&server.client()).await?;
    Ok(())
}

#[tokio::test]
async fn without_credentials_health_and_version_are_open_and_the_rest_is_not() -> Outcome {
    for (policy, refused) in [(Anonymous::Limited, 403), (Anonymous::Refused, 401)] {
        let server = TestServer::builder().anonymous(policy).start_without_socket()?;
        let anonymous = Client::new(server.service(None), "default");
        for path in ["/version", "/readyz", "/livez", "/healthz"] {
            anonymous.request_text(get(path, &[])).await?;
        }
        for path in ["/api", "/api/v1/configmaps", "/nonsense"] {
            let outcome = anonymous.request_text(get(path, &[])).await.map(drop);
            assert_eq!(code(outcome), Some(refused), "{policy:?} {path}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_bad_credential_is_never_demoted_to_none() -> Outcome {
    let server = TestServer::builder().start_without_socket()?;
    let anonymous = Client::new(server.service(None), "default");
    for (authorization, expected) in [("Bearer wrong", Some(401)), ("Basic d3Jvbmc=", None)] {
        for path in ["/version", "/readyz"] {
            let request = get(path, &[("authorization", authorization)]);
            let outcome = anonymous.request_text(request).await.map(drop);
            assert_eq!(code(outcome), expected, "{authorization} {path}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_impersonated_user_is_forbidden() -> Outcome {
    let server = TestServer::builder().start_without_socket()?;
    let denial = server.forbid("bob", "list", "configmaps");
    let path = "/api/v1/namespaces/default/configmaps";
    let as_bob =
        |client: Client| async move { client.request_text(get(path, &[("impersonate-user", "bob")])).await.map(drop) };
    let refused = status(as_bob(server.client()).await);
    let message = r#"configmaps is forbidden: User "bob" cannot list resource "configmaps" in API group "" in the namespace "default""#;
    assert_eq!(refused, Some((403, message.to_owned())));
    denial.lift();
    as_bob(server.client()).await?;
    let alice = Client::new(server.service(server.issue_token("alice")), "default");
    let refused = status(as_bob(alice).await);
    let message = r#"configmaps is forbidden: User "alice" cannot impersonate-on:user-info:list resource "configmaps" in API group "" in the namespace "default""#;
    assert_eq!(refused, Some((403, message.to_owned())));
    let anonymous = get("/api", &[("impersonate-user", "system:anonymous")]);
    assert_eq!(code(server.client().request_text(anonymous).await.map(drop)), Some(403));
    Ok(())
}

#[tokio::test]
async fn what_is_forbidden_is_refused_in_the_real_words_until_lifted() -> Outcome {
    let server = TestServer::start_default().await?;
    let alice = server.client_for(&server.issue_token("alice")).await?;
    let denial = server.forbid("alice", "list", "configmaps");
    let message = r#"configmaps is forbidden: User "alice" cannot list resource "configmaps" in API group "" in the namespace "default""#;
    assert_eq!(status(list(&alice).await), Some((403, message.to_owned())));
    list(&server.client().await?).await?;
    assert_eq!(denial.hits(), 1);
    denial.lift();
    list(&alice).await?;
    Ok(())
}

#[tokio::test]
async fn a_token_no_header_can_carry_is_an_error_and_no_panic() -> Outcome {
    let server = TestServer::start_default().await?;
    let broken = server.accept_token("alice", "line\nbreak");
    let error = server.client_for(&broken).await.err().ok_or("it cannot work")?;
    assert!(!format!("{error:?}{error}").contains("break"));
    Ok(())
}

#[tokio::test]
async fn debug_output_holds_no_secret() -> Outcome {
    let server = TestServer::builder().token("alice", "hunter2").start().await?;
    let certificate = server.issue_certificate("bob", HOUR)?;
    let admin = server.admin();
    let shown = format!("{server:?} {certificate:?} {admin:?} {:?}", server.service(admin.clone()));
    assert!(!shown.contains("hunter2"));
    assert!(!shown.contains(admin.token().unwrap_or("?")));
    assert!(!shown.contains("PRIVATE KEY"));
    assert!(!format!("{:?}", TestServer::builder().token("alice", "hunter2")).contains("hunter2"));
    Ok(())
}

#[tokio::test]
async fn a_review_shows_what_would_be_forbidden() -> Outcome {
    let server = TestServer::builder().start_without_socket()?;
    let denial = server.forbid("admin", "list", "configmaps");
    let ask = |attributes: serde_json::Value| {
        let spec = serde_json::json!({"spec": attributes}).to_string().into_bytes();
        let request = http::Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").body(spec);
        let client = server.client();
        async move { client.request::<serde_json::Value>(request.expect("a valid request")).await }
    };
    let of = |verb: &str, resource: &str| serde_json::json!({"resourceAttributes": {"verb": verb, "resource": resource, "namespace": "default"}});
    for (attributes, allowed) in [
        (of("list", "configmaps"), false),
        (of("get", "configmaps"), true),
        (of("list", "secrets"), true),
        (serde_json::json!({"nonResourceAttributes": {"verb": "get", "path": "/version"}}), true),
    ] {
        assert_eq!(ask(attributes.clone()).await?["status"]["allowed"], allowed, "{attributes}");
    }
    assert_eq!(denial.hits(), 0, "to ask is not to be refused");
    assert_eq!(code(ask(serde_json::json!({})).await.map(drop)), Some(422));
    assert_eq!(code(ask(of("impersonate", "users")).await.map(drop)), Some(501));
    denial.lift();
    assert_eq!(ask(of("list", "configmaps")).await?["status"]["allowed"], true);
    Ok(())
}
