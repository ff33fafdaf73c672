//! Client certificates and keys that cannot be used, and why: each in its own words.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clientmgr_kube::ConnectErrorKind::InvalidConfig;
use clientmgr_kube::kube::config::Kubeconfig;

use crate::support::{assert_refused, kubeconfig};

const KEY_DATA: &str = "users[0].user.client-key-data";

/// A certificate of version 1, which ends in the year 2126, and its key.
const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBGTCBvwIUI5O02U//2DkoOKbOTsQWO+eVOsswCgYIKoZIzj0EAwIwDjEMMAoG
A1UEAwwDb2xkMCAXDTI2MTEyMjE2MTIyMFoYDzIxMjYxMDI5MTYxMjIwWjAOMQww
CgYDVQQDDANvbGQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARISgpcoIhe+4mk
I/K4UG0bFr2nqkXawfWt7ZYXtngqa4QhvEMOJlhiAviisF1u9nx9n0zFRaHqyOHJ
an8QQCCFMAoGCCqGSM49BAMCA0kAMEYCIQC8VmJCE232PsuT0GsxEhOQCLH3d6j5
qz1XoqnElwhQPwIhAMATirPB+knq6GaK6r8LUF14JMW4barHxwurEaz7geh8
-----END CERTIFICATE-----
";
#[cfg(feature = "rustls-tls")]
const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgm0k58xBCKjYBlqAJ
M3mAIiKlRrvAhH0+xcF379jAJfuhRANCAARISgpcoIhe+4mkI/K4UG0bFr2nqkXa
wfWt7ZYXtngqa4QhvEMOJlhiAviisF1u9nx9n0zFRaHqyOHJan8QQCCF
-----END PRIVATE KEY-----
";

/// The same key with a passphrase.
const ENCRYPTED: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhrfL0Ohg6N2QICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEHbGEYUYdp48YwCScRNvF7EEgZCV
bLym/lgJXiHatVz2R5N3zDB9NekGYShxIWdZfRY+V6AdqYUkeA0jUouyJdJj6Jwc
HZfjISpyrdbwylAmWd2uyPGq1u9l9ZWsL5qUH5jnMNVSXKh+0AsFJlp50qMAdzME
C0WKzGSwUmzKy3hJgQ36N7RZIzW98kFLrYnywQXwQ5dY8Le80fo+3aiW4lGUG0g=
-----END ENCRYPTED PRIVATE KEY-----
";

fn identity(certificate: &str, key: &str) -> Kubeconfig {
    kubeconfig(|_, user| {
        user.client_certificate_data = Some(STANDARD.encode(certificate));
        user.client_key_data = Some(STANDARD.encode(key).into());
    })
}

#[tokio::test]
async fn an_encrypted_key_is_an_error_that_says_so() {
    let legacy = ENCRYPTED.replace("ENCRYPTED PRIVATE", "EC PRIVATE").replacen(
        '\n',
        "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n",
        1,
    );
    let encrypted = "the client key is encrypted: give it without a passphrase";
    for key in [ENCRYPTED, &legacy] {
        assert_refused(&identity(VERSION_1, key), InvalidConfig, KEY_DATA, encrypted).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    std::fs::write(&path, ENCRYPTED).unwrap();
    let mut in_a_file = identity(VERSION_1, "");
    let user = in_a_file.auth_infos[0].auth_info.as_mut().unwrap();
    user.client_key = Some(path.to_str().unwrap().into());
    assert_refused(&in_a_file, InvalidConfig, "users[0].user.client-key", encrypted).await;
}

#[cfg(feature = "rustls-tls")]
#[tokio::test]
async fn a_key_of_another_certificate_is_an_error_that_says_so() {
    let server = crate::support::server("east").await;
    let issue = |user| server.issue_certificate(user, std::time::Duration::from_secs(3600)).unwrap();
    let (alice, bob) = (issue("alice"), issue("bob"));
    let mixed = identity(alice.certificate_pem().unwrap(), bob.key_pem().unwrap());
    let text = "the client key does not belong to the client certificate";
    assert_refused(&mixed, InvalidConfig, KEY_DATA, text).await;
}

#[cfg(feature = "rustls-tls")]
#[tokio::test]
async fn a_certificate_of_an_old_version_is_an_error_that_says_so() {
    let text = "the client certificate is not an X.509 certificate of a supported kind: it takes version 3";
    let field = "users[0].user.client-certificate-data";
    assert_refused(&identity(VERSION_1, KEY), InvalidConfig, field, text).await;
}
