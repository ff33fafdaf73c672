//! Slips of the pen in a kubeconfig: a value in the wrong field is not quoted, and the error names the right field.

use clientmgr_kube::kube::config::{AuthInfo, Cluster, ExecConfig, ExecInteractiveMode};
use clientmgr_kube::{ConnectError, ConnectErrorKind};

use crate::support::{self, certificate, everything, kubeconfig, private_key};

/// Connects with what `edit` makes of a cluster and a user; no text of the failure may hold `sesame`.
async fn failure(edit: impl FnOnce(&mut Cluster, &mut AuthInfo)) -> ConnectError {
    let error = support::failure(&kubeconfig(edit)).await;
    let told = everything(&error);
    assert!(!told.contains("sesame"), "{told}");
    error
}

#[tokio::test]
async fn a_secret_in_the_place_of_a_path_is_not_quoted() {
    let secrets = [
        "eyJhbGciOiJSUzI1NiJ9.sesame.sesame".to_owned(),
        "/etc/kube/eyJhbGciOiJSUzI1NiJ9.sesame.sesame".to_owned(),
        "-----BEGIN PRIVATE KEY-----\nsesame\n-----END PRIVATE KEY-----\n".to_owned(),
        "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t/sesame".to_owned(),
        "MIIEvQIBADANBgkq/hkiG9w0BAQEFAASC/sesame".to_owned(),
        "sesame\nsesame".to_owned(),
        "sesame".repeat(100),
        "sesame/".repeat(1000),
    ];
    for secret in &secrets {
        let path = || Some(secret.clone());
        let table = [
            (failure(|_, user| user.token_file = path()).await, "users[0].user.tokenFile"),
            (
                failure(|_, user| (user.client_certificate_data, user.client_key) = (Some(certificate()), path()))
                    .await,
                "users[0].user.client-key",
            ),
            (
                failure(|_, user| {
                    (user.client_certificate, user.client_key_data) = (path(), Some(private_key().into()));
                })
                .await,
                "users[0].user.client-certificate",
            ),
            (
                failure(|cluster, _| cluster.certificate_authority = path()).await,
                "clusters[0].cluster.certificate-authority",
            ),
        ];
        for (error, expected) in table {
            assert_eq!((error.kind(), error.field()), (ConnectErrorKind::InvalidConfig, Some(expected)));
            assert!(error.to_string().contains("holds the value itself where a path belongs"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_key_or_a_token_without_a_shape_in_the_place_of_a_path_is_not_quoted() {
    for secret in ["kubeconfig-u-abc:sesamesesame", "/etc/kube/kubeconfig-u-abc:sesamesesame", "/dev/null/sesame"] {
        let path = || Some(secret.to_owned());
        let table = [
            (failure(|_, user| user.token_file = path()).await, "users[0].user.tokenFile"),
            (
                failure(|_, user| (user.client_certificate_data, user.client_key) = (Some(certificate()), path()))
                    .await,
                "users[0].user.client-key",
            ),
        ];
        for (error, expected) in table {
            assert_eq!((error.kind(), error.field()), (ConnectErrorKind::NoCredentials, Some(expected)));
            assert!(error.to_string().ends_with("names cannot be found"), "{error}");
        }
    }
}

#[tokio::test]
async fn the_error_names_the_field_that_a_secret_belongs_into() {
    let edit = |user: &mut AuthInfo| {
        (user.client_certificate_data, user.client_key) = (Some(certificate()), Some("LS0tsesame".into()));
    };
    let error = failure(|_, user| edit(user)).await;
    let expected = "cluster east: users[0].user.client-key: client-key holds the value itself where a path \
                    belongs: give it as client-key-data";
    assert_eq!(error.to_string(), expected);
}

/// How connecting fails where the plugin's command is `command`.
async fn plugin_failure(command: &str, version: &str) -> ConnectError {
    let (command, api_version) = (Some(command.to_owned()), Some(format!("client.authentication.k8s.io/{version}")));
    let interactive_mode = Some(ExecInteractiveMode::Never);
    let exec = ExecConfig { command, api_version, interactive_mode, ..ExecConfig::default() };
    failure(|_, user| user.exec = Some(exec)).await
}

#[tokio::test]
async fn the_arguments_of_a_command_line_are_not_quoted() {
    for line in ["no-such-plugin --token sesame", " no-such-plugin\t--token=sesame", "no-such-plugin\nsesame"] {
        let error = plugin_failure(line, "v1").await;
        let expected = "cluster east: the credential plugin \"no-such-plugin\" is given as a command line: put its arguments \
                        into args";
        assert_eq!(error.to_string(), expected);
        let error = plugin_failure(line, "v0").await;
        assert_eq!(error.field(), Some("users[0].user.exec.apiVersion"), "{error:?}");
    }
    let error = plugin_failure("/ --token sesame", "v1").await;
    assert!(error.to_string().ends_with("is given as a command line: put its arguments into args"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_command_with_a_blank_in_its_name_is_run() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("my plugin");
    std::os::unix::fs::symlink("/bin/sh", &path).unwrap();
    let error = plugin_failure(path.to_str().unwrap(), "v1").await;
    assert!(error.to_string().contains("my plugin\" printed"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_plugin_that_no_wait_helps_needs_another_configuration() {
    type Edit = fn(&mut ExecConfig);

    let plugin = |edit: Edit| {
        let (api_version, command) = (Some("client.authentication.k8s.io/v1".into()), Some("/bin/sh".into()));
        let interactive_mode = Some(ExecInteractiveMode::Never);
        let mut exec = ExecConfig { api_version, command, interactive_mode, ..ExecConfig::default() };
        edit(&mut exec);
        failure(|_, user| user.exec = Some(exec))
    };
    let table: [(Edit, bool); 9] = [
        (|exec| exec.command = None, true),
        (|exec| exec.api_version = None, true),
        (|exec| exec.interactive_mode = Some(ExecInteractiveMode::Always), true),
        (|exec| exec.command = Some("no-such-plugin with arguments".into()), true),
        (|exec| exec.args = Some(vec!["a\0b".into()]), true),
        (|exec| exec.args = Some(vec!["x".repeat(1 << 22)]), true),
        (|exec| exec.env = Some(vec![[("name".into(), "A".into()), ("value".into(), "a\0b".into())].into()]), true),
        (|exec| exec.command = Some("no-such-plugin".into()), false),
        (|exec| exec.args = Some(vec!["-c".into(), "exit 3".into()]), false),
    ];
    for (edit, expected) in table {
        let error = plugin(edit).await;
        assert_eq!(error.needs_other_config(), expected, "{error:?}");
    }
}
