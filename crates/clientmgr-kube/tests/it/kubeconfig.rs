//! Kubeconfigs that are wrong. Each is an error of its own kind, and none panics or hangs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clientmgr_kube::ClusterConfig;
use clientmgr_kube::ConnectErrorKind::{InvalidConfig, NoCredentials};
use clientmgr_kube::kube::config::{AuthInfo, AuthProviderConfig, Kubeconfig};

use crate::support::{
    assert_refused, builder, certificate, connect, failure, fleet_with, key, kubeconfig, kubeconfig_of, private_key,
    server, snapshot, until,
};

const CA: &str = "clusters[0].cluster.certificate-authority-data";
const CERTIFICATE: &str = "users[0].user.client-certificate-data";
const KEY: &str = "users[0].user.client-key-data";

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
    let unprintable = "the token holds white space or a control character";
    let table = [
        ("first\nsecond", unprintable),
        ("bell\u{7}", unprintable),
        ("nul\0nul", unprintable),
        ("schlüssel", "the token holds a character that is not ASCII"),
        ("\n", "the token is empty"),
        ("", "the token is empty"),
    ];
    for (token, expected) in table {
        let kubeconfig = user(|user| user.token = Some(token.into()));
        assert_refused(&kubeconfig, NoCredentials, "users[0].user.token", "the token cannot be used").await;
        let error = failure(&kubeconfig).await;
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), expected, "{token:?}");
    }
}

#[tokio::test]
async fn a_missing_context_is_an_error() {
    let fleet = builder().build();
    fleet.upsert("west", ClusterConfig::from_kubeconfig(&kubeconfig(|_, _| ()), "west"));
    let error = fleet.wait_connected(&key("west")).await.unwrap_err();
    assert_eq!(error.to_string(), "cluster west: the kubeconfig has no context \"west\"");
}

#[tokio::test]
async fn a_context_without_a_body_is_an_error() {
    let mut kubeconfig = kubeconfig(|_, _| ());
    kubeconfig.contexts[0].context = None;
    assert_refused(&kubeconfig, InvalidConfig, "contexts[0].context", "the kubeconfig has no context \"east\"").await;
}

#[tokio::test]
async fn a_missing_cluster_is_an_error() {
    let mut kubeconfig = kubeconfig(|_, _| ());
    kubeconfig.clusters.clear();
    let text = "context \"east\" names the cluster \"c\", which the kubeconfig does not have";
    assert_refused(&kubeconfig, InvalidConfig, "contexts[0].context.cluster", text).await;
}

#[tokio::test]
async fn a_context_that_names_no_user_is_an_error() {
    for name in [None, Some(String::new())] {
        let mut kubeconfig = kubeconfig(|_, _| ());
        kubeconfig.contexts[0].context.as_mut().unwrap().user = name;
        let text = "context \"east\" names no user";
        assert_refused(&kubeconfig, InvalidConfig, "contexts[0].context.user", text).await;
    }
}

#[tokio::test]
async fn a_missing_user_is_an_error() {
    let mut kubeconfig = kubeconfig(|_, _| ());
    kubeconfig.auth_infos.clear();
    let text = "context \"east\" names the user \"u\", which the kubeconfig does not have";
    assert_refused(&kubeconfig, InvalidConfig, "contexts[0].context.user", text).await;
}

#[tokio::test]
async fn a_user_without_credentials_is_anonymous_on_purpose() {
    let server = server("east").await;
    let (fleet, key) = fleet_with(&kubeconfig_of(&server, AuthInfo::default()));
    fleet.wait_connected(&key).await.unwrap();
    // Anybody may ask for the version, and that is all that was proven.
    let snapshot = snapshot(&fleet, &key);
    assert!(snapshot.user.is_none() && snapshot.version.is_some(), "{snapshot:?}");
    assert!(snapshot.identity.unwrap().is_by_address(), "nobody may read the namespace");
}

#[tokio::test]
async fn a_server_that_cannot_be_spoken_to_is_an_error() {
    const FIELD: &str = "clusters[0].cluster.server";
    let with = |server: Option<&str>| kubeconfig(|cluster, _| cluster.server = server.map(Into::into));
    assert_refused(&with(None), InvalidConfig, FIELD, "the cluster has no server URL").await;
    for server in ["", "https://", "http://a b", "east.example.com", "east.example.com:6443", "/path", "https:///path"]
    {
        let error = failure(&with(Some(server))).await;
        assert_eq!((error.kind(), error.field()), (InvalidConfig, Some(FIELD)), "{server:?}");
    }
    for server in ["ftp://east.example.com", "unix://east"] {
        let scheme = server.split(':').next().unwrap();
        let text = format!("the server's scheme {scheme:?} is neither https nor http");
        assert_refused(&with(Some(server)), InvalidConfig, FIELD, &text).await;
    }
}

#[tokio::test]
async fn a_proxy_of_the_environment_that_cannot_be_used_is_an_error() {
    const INSIDE: &str = "CLIENTMGR_TEST_NO_PROXY";
    if std::env::var_os(INSIDE).is_none() {
        // The environment belongs to the whole process, so to one of its own.
        let alone = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kubeconfig::a_proxy_of_the_environment_that_cannot_be_used_is_an_error", "--nocapture"])
            .envs([(INSIDE, ""), ("HTTPS_PROXY", "gopher://127.0.0.1:1")])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&alone.stdout);
        let said = format!("{said}{}", String::from_utf8_lossy(&alone.stderr));
        assert!(alone.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let error = failure(&kubeconfig(|cluster, _| cluster.server = Some("https://east.invalid".into()))).await;
    assert_eq!((error.kind(), error.field()), (InvalidConfig, None), "{error:?}");
    assert!(error.to_string().contains("HTTPS_PROXY in the environment"), "{error:?}");
}

#[tokio::test]
async fn a_proxy_that_cannot_be_used_is_an_error() {
    const FIELD: &str = "clusters[0].cluster.proxy-url";
    let with = |proxy: &str| kubeconfig(|cluster, _| cluster.proxy_url = Some(proxy.into()));
    for (proxy, scheme) in [("gopher://proxy:70", "gopher"), ("proxy:8080", "")] {
        let text = format!("the proxy's scheme {scheme:?} is not supported");
        assert_refused(&with(proxy), InvalidConfig, FIELD, &text).await;
    }
    let text = "the proxy is not a URL with a host and, if any, a port from 1 to 65535";
    assert_refused(&with("http://a b"), InvalidConfig, FIELD, text).await;
    #[cfg(not(feature = "socks5"))]
    assert_refused(&with("socks5://proxy:1080"), InvalidConfig, FIELD, "the proxy needs the feature socks5").await;
}

#[tokio::test]
async fn a_missing_file_is_an_error_that_names_it() {
    let nowhere = || Some("/nowhere/at-all".to_owned());
    let authority = kubeconfig(|cluster, _| cluster.certificate_authority = nowhere());
    let text = "the certificate authority cannot be read from \"/nowhere/at-all\"";
    assert_refused(&authority, NoCredentials, "clusters[0].cluster.certificate-authority", text).await;
    let certificate =
        user(|user| (user.client_certificate, user.client_key_data) = (nowhere(), Some(private_key().into())));
    let text = "the client certificate cannot be read from \"/nowhere/at-all\"";
    assert_refused(&certificate, NoCredentials, "users[0].user.client-certificate", text).await;
}

#[tokio::test]
async fn a_missing_file_of_a_key_or_a_token_is_an_error_that_names_the_field() {
    let nowhere = || Some("/nowhere/at-all".to_owned());
    let table = [
        (user(|user| (user.client_certificate_data, user.client_key) = (Some(certificate()), nowhere())), "client-key"),
        (user(|user| user.token_file = nowhere()), "tokenFile"),
    ];
    for (kubeconfig, field) in table {
        let text = format!("the file that {field} names cannot be found");
        assert_refused(&kubeconfig, NoCredentials, &format!("users[0].user.{field}"), &text).await;
    }
}

#[tokio::test]
async fn a_file_that_appears_later_is_taken_up_by_itself() {
    let server = server("east").await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let user = AuthInfo { token_file: Some(path.to_str().unwrap().into()), ..AuthInfo::default() };
    let (fleet, key) = fleet_with(&kubeconfig_of(&server, user));
    assert_eq!(fleet.wait_connected(&key).await.unwrap_err().kind(), NoCredentials);
    std::fs::write(&path, server.admin().token().unwrap()).unwrap();
    until(&fleet, &key, clientmgr_kube::ClusterSnapshot::is_connected).await;
}

#[tokio::test]
async fn a_username_without_a_password_makes_no_anonymous_request() {
    let named = || Some("me".to_owned());
    let text = "the user has a username and no password";
    assert_refused(&user(|user| user.username = named()), InvalidConfig, "users[0].user.username", text).await;
    let with_empty_token = user(|user| (user.username, user.token) = (named(), Some("".into())));
    let error = failure(&with_empty_token).await;
    assert!(error.field().is_some_and(|field| field.starts_with("users[0].user.")), "{error:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_device_or_a_directory_is_not_read() {
    for path in ["/dev/zero", "/"] {
        let path = || Some(path.to_owned());
        for kubeconfig in [
            kubeconfig(|cluster, _| cluster.certificate_authority = path()),
            user(|user| (user.client_certificate, user.client_key_data) = (path(), Some(private_key().into()))),
            user(|user| (user.client_certificate_data, user.client_key) = (Some(certificate()), path())),
            user(|user| user.token_file = path()),
        ] {
            let error = failure(&kubeconfig).await;
            assert_eq!(error.kind(), InvalidConfig, "{error:?}");
            assert!(error.to_string().ends_with("is not a regular file"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_far_too_large_is_not_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(64 * 1024 * 1024).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let error = failure(&user(|user| user.token_file = Some(path))).await;
    assert_eq!((error.kind(), error.field()), (InvalidConfig, Some("users[0].user.tokenFile")), "{error:?}");
    assert!(error.to_string().contains("is larger than"), "{error}");
}

#[tokio::test]
async fn what_is_not_base64_is_an_error() {
    let bad = || "not base64!".to_owned();
    let table = [
        (kubeconfig(|cluster, _| cluster.certificate_authority_data = Some(bad())), CA, "certificate authority"),
        (
            user(|user| {
                user.client_certificate_data = Some(bad());
                user.client_key_data = Some(base64(NO_KEY).into());
            }),
            CERTIFICATE,
            "client certificate",
        ),
        (
            user(|user| {
                user.client_certificate_data = Some(certificate());
                user.client_key_data = Some(bad().into());
            }),
            KEY,
            "client key",
        ),
    ];
    for (kubeconfig, field, what) in table {
        assert_refused(&kubeconfig, InvalidConfig, field, &format!("the {what} is not valid Base64")).await;
    }
}

/// OpenSSL says of a configuration that it cannot use only that.
#[cfg(feature = "rustls-tls")]
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
        (ca("no PEM at all"), (CA, "certificate authority")),
        (ca("-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----"), (CA, "certificate authority")),
        (ca(NO_X509), (CA, "certificate authority")),
        (ca(NO_KEY), (CA, "certificate authority")),
        (identity("no PEM at all", NO_KEY), (CERTIFICATE, "client certificate")),
        (identity(NO_X509, "no PEM at all"), (KEY, "client key")),
        (identity(NO_X509, NO_KEY), (KEY, "client key")),
    ];
    for (kubeconfig, (field, what)) in table {
        assert_refused(&kubeconfig, InvalidConfig, field, &format!("the {what} holds no usable PEM")).await;
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_is_an_error_and_the_other_way_round() {
    let certificate = user(|user| user.client_certificate_data = Some(base64(NO_X509)));
    let key = user(|user| user.client_key_data = Some(base64(NO_KEY).into()));
    for (kubeconfig, (field, what)) in [(certificate, (KEY, "client key")), (key, (CERTIFICATE, "client certificate"))]
    {
        let text = format!("the {what} is missing, and its counterpart is given");
        assert_refused(&kubeconfig, InvalidConfig, field, &text).await;
    }
}

/// OpenSSL says of a configuration that it cannot use only that.
#[cfg(feature = "rustls-tls")]
#[tokio::test]
async fn an_expected_server_name_that_is_none_is_an_error() {
    let kubeconfig = kubeconfig(|cluster, _| cluster.tls_server_name = Some("not a name".into()));
    let field = "clusters[0].cluster.tls-server-name";
    assert_refused(&kubeconfig, InvalidConfig, field, "tls-server-name is not a host name").await;
}

#[tokio::test]
async fn an_impersonation_that_cannot_be_sent_is_an_error() {
    let kubeconfig = user(|user| user.impersonate = Some("a\nb".into()));
    let text = "it contains characters that an HTTP header cannot carry";
    assert_refused(&kubeconfig, InvalidConfig, "users[0].user.as", text).await;
}

#[tokio::test]
async fn a_removed_authentication_provider_is_an_error() {
    for name in ["gcp", "azure", "openstack", ""] {
        let config = [("cmd-path".to_owned(), "/bin/sleep".to_owned()), ("cmd-args".to_owned(), "3600".to_owned())];
        let provider = AuthProviderConfig { name: name.into(), config: config.into(), ..AuthProviderConfig::default() };
        let text = format!("the authentication provider {name:?} is not supported: use a credential plugin (exec)");
        let kubeconfig = user(|user| user.auth_provider = Some(provider));
        assert_refused(&kubeconfig, InvalidConfig, "users[0].user.auth-provider.name", &text).await;
    }
}

#[cfg(not(feature = "oidc"))]
#[tokio::test]
async fn the_token_of_an_oidc_provider_is_checked_like_any_other() {
    let config = [("id-token".to_owned(), "a\nb".to_owned())];
    let provider = AuthProviderConfig { name: "oidc".into(), config: config.into(), ..AuthProviderConfig::default() };
    let field = "users[0].user.auth-provider.config.id-token";
    let kubeconfig = user(|user| user.auth_provider = Some(provider));
    assert_refused(&kubeconfig, NoCredentials, field, "the token cannot be used").await;
}

#[tokio::test]
async fn one_wrong_context_does_not_concern_the_others() {
    let server = server("good").await;
    let kubeconfig = server.kubeconfig().merge(kubeconfig(|cluster, _| cluster.server = None)).unwrap();
    let fleet = builder().build();
    fleet.add_contexts(&kubeconfig);
    assert_eq!(fleet.wait_connected(&key("east")).await.unwrap_err().kind(), InvalidConfig);
    fleet.wait_connected(&key("good")).await.unwrap();
}
