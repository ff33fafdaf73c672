//! Certificates and keys: from Base64 or a file to what a TLS stack takes.

use std::fs;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

use super::files;
use crate::error::{ConfigError, CredentialFile};

/// What marks an encrypted key, in PKCS#8 and before it.
const ENCRYPTED: [&str; 2] = ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED"];

/// Decodes an embedded value. Line breaks are skipped, as kubectl does: a block scalar in YAML has them.
pub(crate) fn decode(material: CredentialFile, text: &str) -> Result<Vec<u8>, ConfigError> {
    STANDARD.decode(text.replace(['\r', '\n'], "")).map_err(|_| ConfigError::Base64 { material })
}

/// Reads a file that a kubeconfig names. Blocks.
pub(crate) fn read(material: CredentialFile, path: &Path) -> Result<Vec<u8>, ConfigError> {
    files::check(material, path)?;
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(files::LIMIT).read_to_end(&mut bytes))
        .map_err(|source| files::unreadable(material, path, source))?;
    Ok(bytes)
}

/// Returns the certificates of a bundle, as DER.
pub(crate) fn certificates(bundle: &[u8]) -> Result<Vec<Vec<u8>>, ConfigError> {
    let material = CredentialFile::CertificateAuthority;
    let blocks = pem::parse_many(bundle).map_err(|_| ConfigError::Pem { material })?;
    let certificates: Vec<_> =
        blocks.into_iter().filter(|block| block.tag() == "CERTIFICATE").map(pem::Pem::into_contents).collect();
    // Without a certificate every handshake would fail.
    if certificates.is_empty() { Err(ConfigError::Pem { material }) } else { Ok(certificates) }
}

/// Returns a client certificate as PEM.
pub(crate) fn client_certificate(pem: Vec<u8>) -> Result<String, ConfigError> {
    let material = CredentialFile::ClientCertificate;
    let text = String::from_utf8(pem).map_err(|_| ConfigError::Pem { material })?;
    if has_block(&text, |tag| tag == "CERTIFICATE") { Ok(text) } else { Err(ConfigError::Pem { material }) }
}

/// Returns a client key as PEM.
pub(crate) fn client_key(pem: Vec<u8>) -> Result<SecretString, ConfigError> {
    let material = CredentialFile::ClientKey;
    let text = SecretString::from(String::from_utf8(pem).map_err(|_| ConfigError::Pem { material })?);
    if ENCRYPTED.iter().any(|mark| text.expose_secret().contains(mark)) {
        return Err(ConfigError::EncryptedKey);
    }
    if has_block(text.expose_secret(), |tag| tag.ends_with("PRIVATE KEY")) {
        Ok(text)
    } else {
        Err(ConfigError::Pem { material })
    }
}

fn has_block(text: &str, is_wanted: impl Fn(&str) -> bool) -> bool {
    pem::parse_many(text).is_ok_and(|blocks| blocks.iter().any(|block| is_wanted(block.tag())))
}
