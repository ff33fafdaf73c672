//! What a TLS configuration depends on, as a hash, and whether HTTP/2 is offered.

use kube::Config;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

/// Whether HTTP/2 is offered in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    Http1,
    Http2,
}

/// Two configurations of TLS with the same fingerprint are interchangeable.
pub(crate) type TlsFingerprint = [u8; 32];

/// The fingerprint of whom `config` trusts and which certificate it shows.
pub(crate) fn fingerprint(config: &Config) -> TlsFingerprint {
    let mut hash = Sha256::new();
    // Each part with its length, so that no two lists of parts read the same.
    let mut part = |bytes: Option<&[u8]>| {
        hash.update(bytes.map_or(u64::MAX, |bytes| bytes.len() as u64).to_le_bytes());
        hash.update(bytes.unwrap_or_default());
    };
    part(Some(&[u8::from(config.accept_invalid_certs)]));
    let user = &config.auth_info;
    for text in [&user.client_certificate, &user.client_certificate_data, &user.client_key] {
        part(text.as_ref().map(String::as_bytes));
    }
    part(user.client_key_data.as_ref().map(|key| key.expose_secret().as_bytes()));
    part(config.root_cert_file.as_ref().map(|path| path.as_os_str().as_encoded_bytes()));
    part(config.root_cert.is_some().then_some(&[]));
    for certificate in config.root_cert.iter().flatten() {
        part(Some(certificate));
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use kube::Config;

    use super::fingerprint;

    #[test]
    fn the_fingerprint_covers_trust_and_identity_and_nothing_else() {
        let config = || Config::new("https://127.0.0.1:1".parse().unwrap());
        let edits: [fn(&mut Config); 10] = [
            |_| (),
            |config| config.accept_invalid_certs = true,
            |config| config.root_cert = Some(vec![]),
            |config| config.root_cert = Some(vec![b"ab".to_vec()]),
            |config| config.root_cert = Some(vec![b"a".to_vec(), b"b".to_vec()]),
            |config| config.root_cert_file = Some("/ca".into()),
            |config| config.auth_info.client_certificate = Some("a".into()),
            |config| config.auth_info.client_certificate_data = Some("a".into()),
            |config| config.auth_info.client_key = Some("a".into()),
            |config| config.auth_info.client_key_data = Some("a".into()),
        ];
        let mut seen = std::collections::HashSet::new();
        for (number, edit) in edits.into_iter().enumerate() {
            let mut config = config();
            edit(&mut config);
            assert!(seen.insert(fingerprint(&config)), "edit {number}");
        }
        let mut other = Config::new("https://example.com".parse().unwrap());
        other.auth_info.token = Some("token".into());
        assert_eq!(fingerprint(&other), fingerprint(&config()));
    }
}
