//! Keys and certificates: one authority per cluster, the server certificates it signs and the client
//! certificates it issues. Whether a certificate is accepted is decided elsewhere.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::pki::{
    certificate_error::CertificateError,
    issued::{Issued, Validity},
};

/// How long before its making a certificate is already valid, for clocks that disagree a little.
const BACKDATE: Duration = Duration::from_secs(300);
/// How long server and authority certificates live.
const LONG: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The authority of one cluster: it signs the server's certificates and those of its users.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// A new authority with a key of its own.
    pub(crate) fn new(name: &str) -> Result<Self, CertificateError> {
        let key = KeyPair::generate()?;
        let mut params = params(&format!("{name}-ca"), None, LONG);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// The authority's own certificate, for clients to trust.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Signs a client certificate that is valid for `lifetime`.
    pub(crate) fn issue_client(
        &self,
        common_name: &str,
        organisation: Option<&str>,
        lifetime: Duration,
    ) -> Result<Issued, CertificateError> {
        let mut params = params(common_name, organisation, lifetime);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&params)
    }

    /// Signs a server certificate for the loopback addresses, valid or already expired.
    pub(crate) fn issue_server(&self, validity: Validity) -> Result<Issued, CertificateError> {
        let mut params = params("kube-apiserver", None, LONG);
        if validity == Validity::Expired {
            let now = SystemTime::now();
            params.not_before = (now - 2 * BACKDATE).into();
            params.not_after = (now - BACKDATE).into();
        }
        params.subject_alt_names = CertificateParams::new(
            ["127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"].map(str::to_owned),
        )?
        .subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(&params)
    }

    fn issue(&self, params: &CertificateParams) -> Result<Issued, CertificateError> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued { certificate_pem: certificate.pem(), key_pem: key.serialize_pem(), der: certificate.der().to_vec() })
    }
}

fn params(common_name: &str, organisation: Option<&str>, lifetime: Duration) -> CertificateParams {
    let mut name = DistinguishedName::new();
    if let Some(organisation) = organisation {
        name.push(DnType::OrganizationName, organisation);
    }
    name.push(DnType::CommonName, common_name);
    let now = SystemTime::now();
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.not_before = (now - BACKDATE).into();
    params.not_after = (now + lifetime).into();
    params.use_authority_key_identifier_extension = true;
    params
}
