//! What is wrong with a client certificate and its key, as far as kube's refusal does not tell: it takes an encrypted key
//! for none. Reads files, so it runs on a lane.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::AuthInfo;
use secrecy::ExposeSecret;

use crate::error::{ConfigError, CredentialFile, Failure};

/// What marks an encrypted key, in PKCS#8 and before it.
const MARKS: [&[u8]; 2] = [b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED"];

/// Whether the client key of `user` is encrypted. What cannot be read is not: whoever needs it tells why.
pub(crate) fn is_key_encrypted(user: &AuthInfo) -> bool {
    let pem = match (&user.client_key_data, &user.client_key) {
        (Some(data), _) => STANDARD.decode(data.expose_secret()).ok(),
        (None, Some(path)) => fs::read(path).ok(),
        (None, None) => None,
    };
    pem.is_some_and(|pem| MARKS.iter().any(|mark| pem.windows(mark.len()).any(|part| part == *mark)))
}

/// Says of an identity that was refused that its key is encrypted.
pub(crate) fn blame_encryption(failure: Failure) -> Failure {
    match failure {
        Failure::Config(ConfigError::Pem {
            material: CredentialFile::ClientKey | CredentialFile::ClientCertificate,
        }) => ConfigError::EncryptedKey.into(),
        other => other,
    }
}
