//! The authority of a crate that was built without cryptography: there is none.

use std::{convert::Infallible, time::Duration};

use crate::pki::{
    certificate_error::CertificateError,
    issued::{Issued, Validity},
};

/// Cannot be made.
#[derive(Debug)]
pub(crate) struct Authority(Infallible);

impl Authority {
    /// Always an error.
    pub(crate) fn new(_name: &str) -> Result<Self, CertificateError> {
        Err(CertificateError::NoCryptography)
    }

    pub(crate) fn pem(&self) -> &str {
        match self.0 {}
    }

    pub(crate) fn issue_client(
        &self,
        _common_name: &str,
        _organisation: Option<&str>,
        _lifetime: Duration,
    ) -> Result<Issued, CertificateError> {
        match self.0 {}
    }

    pub(crate) fn issue_server(&self, _validity: Validity) -> Result<Issued, CertificateError> {
        match self.0 {}
    }
}
