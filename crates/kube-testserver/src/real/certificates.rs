//! The certificates and keys of a real server, made anew for each run.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::{
    pki::{certificate_error::CertificateError, issued::Issued},
    real::{
        command::{ACCOUNT_KEY, ACCOUNT_PUBLIC_KEY, CA, SERVER_CERTIFICATE, SERVER_KEY},
        real_error::{RealError, write},
    },
};

/// All that a server and its administrator need.
pub(super) struct Pki {
    pub(super) ca_pem: String,
    pub(super) server: Issued,
    pub(super) admin: Issued,
    /// The key that service account tokens are signed with: ECDSA over P-256, which the server reads as PKCS#8.
    pub(super) account_key_pem: String,
    /// Its public half. The server does not take an ECDSA key in PKCS#8 for it.
    pub(super) account_public_key_pem: String,
}

impl Pki {
    /// A new authority, the server's certificate for loopback, and an administrator's.
    pub(super) fn new(admin: &str, group: &str) -> Result<Self, CertificateError> {
        let key = KeyPair::generate()?;
        let mut authority = named("testserver-ca", None);
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
    pub(super) fn write_to(&self, directory: &Path) -> Result<(), RealError> {
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

fn issue(params: &CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Result<Issued, CertificateError> {
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    Ok(Issued { certificate_pem: certificate.pem(), key_pem: key.serialize_pem(), der: certificate.der().to_vec() })
}
