//! Files that are given as kubeconfigs and are none, or not such as can be read without harm.

use clientmgr_kube::{ConnectErrorKind, read_kubeconfig_from};

use crate::support::everything;

#[cfg(unix)]
#[test]
fn a_pipe_or_a_device_is_not_read_as_a_kubeconfig() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [pipe.to_str().unwrap(), "/dev/zero", "/"] {
        let problem = read_kubeconfig_from(path).unwrap_err();
        assert_eq!(problem.kind(), ConnectErrorKind::InvalidConfig);
        assert_eq!(problem.to_string(), format!("the kubeconfig at {path:?} is not a regular file"));
    }
}

#[test]
fn a_file_that_is_far_too_large_is_not_read_as_a_kubeconfig() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(64 * 1024 * 1024 + 1).unwrap();
    let problem = read_kubeconfig_from(file.path()).unwrap_err();
    assert_eq!(problem.kind(), ConnectErrorKind::InvalidConfig);
    let expected = format!("the kubeconfig at {:?} is larger than 67108864 bytes", file.path());
    assert_eq!(problem.to_string(), expected);
}

#[test]
fn a_kubeconfig_in_the_place_of_its_path_is_not_quoted() {
    let problem = read_kubeconfig_from("users:\n- user: {token: sesame}\n").unwrap_err();
    assert_eq!(problem.to_string(), "KUBECONFIG holds a kubeconfig or another text instead of a path");
    assert!(!everything(&problem).contains("sesame"));
}

#[test]
fn a_file_that_is_no_kubeconfig_is_named_and_not_quoted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config");
    let table: [(&[u8], &str); 2] = [
        (b"users:\n- name: me\n  user: { token: sesame, sesame", " at line"),
        // UTF-16 that ends within a character.
        (&[0xFF, 0xFE, b'a'], ""),
    ];
    for (content, place) in table {
        std::fs::write(&path, content).unwrap();
        let problem = read_kubeconfig_from(&path).unwrap_err();
        let expected = format!("the kubeconfig {path:?} is not valid{place}");
        assert!(problem.to_string().starts_with(&expected), "{problem}");
        assert!(!everything(&problem).contains("sesame"));
    }
    let path = directory.path().join("missing");
    let missing = read_kubeconfig_from(&path).unwrap_err();
    assert_eq!(missing.to_string(), format!("the kubeconfig {path:?} cannot be read"));
}

#[test]
fn an_empty_path_stays_empty_when_paths_are_made_absolute() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config");
    let text = "
        clusters: [{ name: c, cluster: { certificate-authority: '' } }]
        users: [{ name: u, user: { client-certificate: '', client-key: key, tokenFile: '' } }]
        ";
    std::fs::write(&path, text).unwrap();
    let kubeconfig = read_kubeconfig_from(&path).unwrap();
    assert_eq!(kubeconfig.clusters[0].cluster.as_ref().unwrap().certificate_authority, None);
    let user = kubeconfig.auth_infos[0].auth_info.as_ref().unwrap();
    assert_eq!((&user.client_certificate, &user.token_file), (&None, &None));
    assert_eq!(user.client_key.as_deref(), directory.path().join("key").to_str());
}
