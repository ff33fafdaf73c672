//! The certificates and keys of a real server, made anew for each run.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::{
    command::{ACCOUNT_KEY, ACCOUNT_PUBLIC_KEY, CA, SERVER_CERTIFICATE, SERVER_KEY},
    error::{RealError, write},
};

/// A certificate and its key, as PEM text.
pub(crate) struct Issued {
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
}

/// All that a server and its administrator need.
pub(crate) struct Pki {
    pub(crate) ca_pem: String,
    pub(crate) server: Issued,
    pub(crate) admin: Issued,
    /// The key that service account tokens are signed with: ECDSA over P-256, which the server reads as PKCS#8.
    pub(crate) account_key_pem: String,
    /// Its public half. The server does not take an ECDSA key in PKCS#8 for it.
    pub(crate) account_public_key_pem: String,
}

impl Pki {
    /// A new authority, the server's certificate for loopback, and an administrator's.
    pub(crate) fn new(admin: &str, group: &str) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut authority = named("conformance-ca", None);
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let ca_pem = authority.self_signed(&key)?.pem();
        let issuer = Issuer::new(authority, key);

        let names = ["127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
        let mut server = named("kube-apiserver", None);
        server.subject_alt_names = CertificateParams::new(names.map(str::to_owned))?.subject_alt_names;
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let mut client = named(admin, Some(group));
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];

        let account = KeyPair::generate()?;
        Ok(Self {
            ca_pem,
            server: issue(&server, &issuer)?,
            admin: issue(&client, &issuer)?,
            account_key_pem: account.serialize_pem(),
            account_public_key_pem: account.public_key_pem(),
        })
    }

    /// Writes the files that the command line names.
    pub(crate) fn write_to(&self, directory: &Path) -> Result<(), RealError> {
        for (name, text) in [
            (CA, &self.ca_pem),
            (SERVER_CERTIFICATE, &self.server.certificate_pem),
            (SERVER_KEY, &self.server.key_pem),
            (ACCOUNT_KEY, &self.account_key_pem),
            (ACCOUNT_PUBLIC_KEY, &self.account_public_key_pem),
        ] {
            write(&directory.join(name), text)?;
        }
        Ok(())
    }
}

fn named(common_name: &str, organisation: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    if let Some(organisation) = organisation {
        params.distinguished_name.push(DnType::OrganizationName, organisation);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

fn issue(params: &CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Result<Issued, rcgen::Error> {
    let key = KeyPair::generate()?;
    Ok(Issued { certificate_pem: params.signed_by(&key, issuer)?.pem(), key_pem: key.serialize_pem() })
}
