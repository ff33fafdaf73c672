//! The certificates and keys of a real server, made anew for each run.

use std::{path::Path, time::Duration};

use rcgen::KeyPair;

use crate::{
    pki::{
        authority::Authority,
        certificate_error::CertificateError,
        issued::{Issued, Validity},
    },
    real::{
        command::{ACCOUNT_KEY, ACCOUNT_PUBLIC_KEY, CA, SERVER_CERTIFICATE, SERVER_KEY},
        real_error::{RealError, write},
    },
};

/// How long the administrator's certificate is valid.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

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
        let authority = Authority::new("testserver")?;
        let account = KeyPair::generate()?;
        Ok(Self {
            ca_pem: authority.pem().to_owned(),
            server: authority.issue_server(Validity::Good)?,
            admin: authority.issue_client(admin, Some(group), YEAR)?,
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
