//! Kubeconfigs that are wrong. Each is an error of its own kind, and none panics or hangs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clientmgr_kube::kube::config::{AuthInfo, AuthProviderConfig, Kubeconfig};
use clientmgr_kube::{ClusterStatus, ConnectFailure, KubeconfigProblem, Material, Proof, TokenProblem};

use crate::support::{connect, fleet_with, kubeconfig, kubeconfig_of, problem, server};

const NO_X509: &str = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
const NO_KEY: &str = "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n";

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

fn user(edit: impl FnOnce(&mut AuthInfo)) -> Kubeconfig {
    kubeconfig(|_, user| edit(user))
}

#[tokio::test]
async fn a_newline_after_a_token_is_no_part_of_it() {
    let server = server("east").await;
    let token = server.admin().token().unwrap().to_owned();
    for token in [format!("{token}\n"), format!("  {token}\r\n\n")] {
        connect(&kubeconfig_of(&server, AuthInfo { token: Some(token.into()), ..AuthInfo::default() })).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_sent_is_an_error() {
    let table = [
        ("first\nsecond", TokenProblem::Unprintable),
        ("bell\u{7}", TokenProblem::Unprintable),
        ("nul\0nul", TokenProblem::Unprintable),
        ("schlüssel", TokenProblem::NotAscii),
        ("\n", TokenProblem::Empty),
        ("", TokenProblem::Empty),
    ];
    for (token, expected) in table {
        let problem = problem(&user(|user| user.token = Some(token.into()))).await;
        assert!(matches!(problem, KubeconfigProblem::Token(found) if found == expected), "{token:?}: {problem:?}");
    }
}

#[tokio::test]
async fn a_missing_context_is_an_error() {
    let fleet = crate::support::builder().build();
    let key = crate::support::key("west");
    let endpoint = clientmgr_kube::Endpoint::from_kubeconfig(&kubeconfig(|_, _| ()), "west");
    fleet.upsert(key.clone(), endpoint);
    let error = fleet.connect(&key).await.unwrap_err();
    assert_eq!(error.to_string(), "cluster west: the kubeconfig has no context \"west\"");
}

#[tokio::test]
async fn a_context_without_a_body_is_an_error() {
    let mut kubeconfig = kubeconfig(|_, _| ());
    kubeconfig.contexts[0].context = None;
    assert!(matches!(problem(&kubeconfig).await, KubeconfigProblem::NoContext { context } if context == "east"));
}

#[tokio::test]
async fn a_missing_cluster_is_an_error() {
    let mut kubeconfig = kubeconfig(|_, _| ());
    kubeconfig.clusters.clear();
    let problem = problem(&kubeconfig).await;
    assert_eq!(problem.to_string(), "context \"east\" names the cluster \"c\", which the kubeconfig does not have");
}

#[tokio::test]
async fn a_context_that_names_no_user_is_an_error() {
    for name in [None, Some(String::new())] {
        let mut kubeconfig = kubeconfig(|_, _| ());
        kubeconfig.contexts[0].context.as_mut().unwrap().user = name;
        assert!(matches!(problem(&kubeconfig).await, KubeconfigProblem::NoUser { context } if context == "east"));
    }
}

#[tokio::test]
async fn a_missing_user_is_an_error() {
    let mut kubeconfig = kubeconfig(|_, _| ());
    kubeconfig.auth_infos.clear();
    let problem = problem(&kubeconfig).await;
    assert_eq!(problem.to_string(), "context \"east\" names the user \"u\", which the kubeconfig does not have");
}

#[tokio::test]
async fn a_user_without_credentials_is_anonymous_on_purpose() {
    let server = server("east").await;
    let (fleet, key) = fleet_with(&kubeconfig_of(&server, AuthInfo::default()));
    fleet.connect(&key).await.unwrap();
    // Anybody may ask for the version, and that is all that was proven.
    assert!(matches!(fleet.status(&key), Some(ClusterStatus::Connected { proof: Proof::Api, .. })));
}

#[tokio::test]
async fn a_server_that_cannot_be_spoken_to_is_an_error() {
    let with = |server: Option<&str>| kubeconfig(|cluster, _| cluster.server = server.map(Into::into));
    assert!(matches!(problem(&with(None)).await, KubeconfigProblem::NoServer));
    for server in ["", "https://", "http://a b", "east.example.com", "east.example.com:6443", "/path", "https:///path"]
    {
        let problem = problem(&with(Some(server))).await;
        assert!(matches!(problem, KubeconfigProblem::MalformedServer), "{server:?}: {problem:?}");
    }
    for server in ["ftp://east.example.com", "unix://east"] {
        let problem = problem(&with(Some(server))).await;
        assert!(matches!(problem, KubeconfigProblem::UnsupportedScheme { .. }), "{server:?}: {problem:?}");
    }
}

#[tokio::test]
async fn a_no_proxy_that_is_not_understood_is_an_error() {
    const INSIDE: &str = "CLIENTMGR_TEST_NO_PROXY";
    if std::env::var_os(INSIDE).is_none() {
        // The environment belongs to the whole process, so to one of its own.
        let alone = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kubeconfig::a_no_proxy_that_is_not_understood_is_an_error", "--nocapture"])
            .envs([(INSIDE, ""), ("HTTPS_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "example.com,")])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&alone.stdout);
        assert!(alone.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let problem = problem(&kubeconfig(|_, _| ())).await;
    // kube reads it only if it could use the proxy.
    let expected = if cfg!(any(feature = "http-proxy", feature = "socks5")) {
        matches!(problem, KubeconfigProblem::MalformedNoProxy)
    } else {
        matches!(problem, KubeconfigProblem::ProxyFeature { feature: "http-proxy" })
    };
    assert!(expected, "{problem:?}");
}

#[tokio::test]
async fn a_proxy_that_cannot_be_used_is_an_error() {
    let with = |proxy: &str| kubeconfig(|cluster, _| cluster.proxy_url = Some(proxy.into()));
    for proxy in ["gopher://proxy:70", "proxy:8080"] {
        let problem = problem(&with(proxy)).await;
        assert!(matches!(problem, KubeconfigProblem::UnsupportedProxy { .. }), "{proxy:?}: {problem:?}");
    }
    assert!(matches!(problem(&with("http://a b")).await, KubeconfigProblem::MalformedProxy));
    #[cfg(not(feature = "socks5"))]
    assert!(matches!(
        problem(&with("socks5://proxy:1080")).await,
        KubeconfigProblem::ProxyFeature { feature: "socks5" }
    ));
}

#[tokio::test]
async fn a_missing_file_is_an_error_that_names_it() {
    let nowhere = || Some("/nowhere/at-all".to_owned());
    let table = [
        (kubeconfig(|cluster, _| cluster.certificate_authority = nowhere()), Material::CertificateAuthority),
        (user(|user| user.client_certificate = nowhere()), Material::ClientCertificate),
    ];
    for (kubeconfig, expected) in table {
        let problem = problem(&kubeconfig).await;
        assert!(
            matches!(&problem, KubeconfigProblem::File { material, path, .. }
                if *material == expected && path.ends_with("at-all")),
            "{problem:?}"
        );
    }
}

#[tokio::test]
async fn a_missing_file_of_a_key_or_a_token_is_an_error_that_names_the_field() {
    let nowhere = || Some("/nowhere/at-all".to_owned());
    let table = [
        (user(|user| user.client_key = nowhere()), Material::ClientKey, "client-key"),
        (user(|user| user.token_file = nowhere()), Material::TokenFile, "tokenFile"),
    ];
    for (kubeconfig, expected, field) in table {
        let problem = problem(&kubeconfig).await;
        assert!(matches!(&problem, KubeconfigProblem::NoFile { material, .. } if *material == expected), "{problem:?}");
        assert_eq!(problem.to_string(), format!("the file that {field} names cannot be found"));
    }
}

#[tokio::test]
async fn a_username_without_a_password_makes_nobody_anonymous() {
    let named = || Some("me".to_owned());
    let found = problem(&user(|user| user.username = named())).await;
    assert!(matches!(found, KubeconfigProblem::NoPassword), "{found:?}");
    let found = problem(&user(|user| (user.username, user.token) = (named(), Some("".into())))).await;
    assert!(matches!(found, KubeconfigProblem::Token(TokenProblem::Empty)), "{found:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_device_or_a_directory_is_not_read() {
    for path in ["/dev/zero", "/"] {
        let path = || Some(path.to_owned());
        for kubeconfig in [
            kubeconfig(|cluster, _| cluster.certificate_authority = path()),
            user(|user| user.client_certificate = path()),
            user(|user| user.client_key = path()),
            user(|user| user.token_file = path()),
        ] {
            let problem = problem(&kubeconfig).await;
            assert!(matches!(problem, KubeconfigProblem::NoRegularFile { .. }), "{problem:?}");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_far_too_large_is_not_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(64 * 1024 * 1024).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let problem = problem(&user(|user| user.token_file = Some(path))).await;
    assert!(matches!(problem, KubeconfigProblem::TooLarge { material: Material::TokenFile, .. }), "{problem:?}");
}

#[tokio::test]
async fn what_is_not_base64_is_an_error() {
    let bad = || "not base64!".to_owned();
    let table = [
        (kubeconfig(|cluster, _| cluster.certificate_authority_data = Some(bad())), Material::CertificateAuthority),
        (user(|user| user.client_certificate_data = Some(bad())), Material::ClientCertificate),
        (
            user(|user| {
                user.client_certificate_data = Some(base64(NO_X509));
                user.client_key_data = Some(bad().into());
            }),
            Material::ClientKey,
        ),
    ];
    for (kubeconfig, expected) in table {
        let problem = problem(&kubeconfig).await;
        assert!(matches!(problem, KubeconfigProblem::Base64 { material } if material == expected), "{problem:?}");
    }
}

#[tokio::test]
async fn what_is_no_certificate_or_key_is_an_error() {
    let ca = |text: &str| kubeconfig(|cluster, _| cluster.certificate_authority_data = Some(base64(text)));
    let identity = |certificate: &str, key: &str| {
        user(|user| {
            user.client_certificate_data = Some(base64(certificate));
            user.client_key_data = Some(base64(key).into());
        })
    };
    let table = [
        (ca("no PEM at all"), Material::CertificateAuthority),
        (ca("-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----"), Material::CertificateAuthority),
        (ca(NO_X509), Material::CertificateAuthority),
        (ca(NO_KEY), Material::CertificateAuthority),
        (identity("no PEM at all", NO_KEY), Material::ClientCertificate),
        (identity(NO_X509, "no PEM at all"), Material::ClientKey),
        (identity(NO_X509, NO_KEY), Material::ClientKey),
    ];
    for (kubeconfig, expected) in table {
        let problem = problem(&kubeconfig).await;
        assert!(matches!(problem, KubeconfigProblem::Pem { material } if material == expected), "{problem:?}");
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_is_an_error_and_the_other_way_round() {
    let certificate = user(|user| user.client_certificate_data = Some(base64(NO_X509)));
    let key = user(|user| user.client_key_data = Some(base64(NO_KEY).into()));
    for (kubeconfig, expected) in [(certificate, Material::ClientKey), (key, Material::ClientCertificate)] {
        let problem = problem(&kubeconfig).await;
        assert!(matches!(problem, KubeconfigProblem::Missing { material } if material == expected), "{problem:?}");
    }
}

#[tokio::test]
async fn an_expected_server_name_that_is_none_is_an_error() {
    let kubeconfig = kubeconfig(|cluster, _| cluster.tls_server_name = Some("not a name".into()));
    assert!(matches!(problem(&kubeconfig).await, KubeconfigProblem::TlsServerName));
}

#[tokio::test]
async fn an_impersonation_that_cannot_be_sent_is_an_error() {
    let kubeconfig = user(|user| user.impersonate = Some("a\nb".into()));
    assert!(matches!(problem(&kubeconfig).await, KubeconfigProblem::Impersonation));
}

#[tokio::test]
async fn a_removed_authentication_provider_is_an_error() {
    for name in ["gcp", "azure", "openstack", ""] {
        let config = [("cmd-path".to_owned(), "/bin/sleep".to_owned()), ("cmd-args".to_owned(), "3600".to_owned())];
        let provider = AuthProviderConfig { name: name.into(), config: config.into(), ..AuthProviderConfig::default() };
        let problem = problem(&user(|user| user.auth_provider = Some(provider))).await;
        assert!(matches!(&problem, KubeconfigProblem::AuthProvider { name: found } if found == name), "{problem:?}");
    }
}

#[cfg(not(feature = "oidc"))]
#[tokio::test]
async fn the_token_of_an_oidc_provider_is_checked_like_any_other() {
    let config = [("id-token".to_owned(), "a\nb".to_owned())];
    let provider = AuthProviderConfig { name: "oidc".into(), config: config.into(), ..AuthProviderConfig::default() };
    let problem = problem(&user(|user| user.auth_provider = Some(provider))).await;
    assert!(matches!(problem, KubeconfigProblem::Token(TokenProblem::Unprintable)), "{problem:?}");
}

#[tokio::test]
async fn one_wrong_context_does_not_concern_the_others() {
    let server = server("good").await;
    let kubeconfig = server.kubeconfig().merge(kubeconfig(|cluster, _| cluster.server = None)).unwrap();
    let fleet = crate::support::builder().build();
    fleet.add_contexts(&kubeconfig);
    let outcomes = fleet.connect_all().await;
    let connected: Vec<_> = outcomes.iter().map(|(key, outcome)| (key.to_string(), outcome.is_ok())).collect();
    assert_eq!(connected, [("east".to_owned(), false), ("good".to_owned(), true)]);
}

#[tokio::test]
async fn the_text_of_every_failure_says_what_to_do_without_its_source() {
    let error = connect(&user(|user| user.token = Some("a b".into()))).await.unwrap_err();
    assert_eq!(error.to_string(), "cluster east: the token cannot be used");
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "the token holds white space or a control character");
    assert!(error.needs_other_configuration());
    assert!(matches!(error.failure(), ConnectFailure::Kubeconfig(_)));
}
