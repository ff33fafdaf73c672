//! Keys and certificates: one authority per cluster, the server certificates it signs and the client
//! certificates it issues. Who a certificate *is* gets decided in [`auth`](super::auth), not here.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    DigitallySignedStruct, DistinguishedName as SubjectHint, Error as TlsError, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime},
    server::{
        StoresServerSessions,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::{control::NeedsTls, credential::User, listen::Protocols};

/// How long before its making a certificate is already valid, for clocks that disagree a little.
const BACKDATE: Duration = Duration::from_secs(300);
/// How long server and authority certificates live.
const LONG: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Why a key or certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The certificate could not be generated or signed.
    #[error("the certificate could not be made")]
    Generate(#[source] rcgen::Error),
    /// The TLS library refused the server's certificate or settings.
    #[error("the certificate was refused by the TLS library")]
    Refused(#[source] TlsError),
    /// A client certificate was asked of a server that could never be shown it.
    #[error("no client certificate can be used")]
    NeedsTls(#[source] NeedsTls),
}

impl From<rcgen::Error> for CertificateError {
    fn from(error: rcgen::Error) -> Self {
        Self::Generate(error)
    }
}

/// A certificate and its key, both as PEM text, and the certificate as it goes over the wire.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
    pub(crate) der: Vec<u8>,
}

/// The authority of one cluster: it signs the server's certificates and those of its users.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    provider: Arc<CryptoProvider>,
    protocols: Protocols,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// A new authority with a key of its own, for a server that speaks `protocols`.
    pub(crate) fn new(name: &str, protocols: Protocols) -> Result<Self, CertificateError> {
        let key = KeyPair::generate()?;
        let mut params = params(&format!("{name}-ca"), &[], LONG);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let pem = params.self_signed(&key)?.pem();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(Self { issuer: Issuer::new(params, key), pem, provider, protocols })
    }

    /// The authority's own certificate, for clients to trust.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Signs a certificate that lets `user` in for `lifetime`: common name the user, organisation the first group.
    pub(crate) fn issue_client(&self, user: &User, lifetime: Duration) -> Result<Issued, CertificateError> {
        let mut params = params(user.name(), user.groups(), lifetime);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&params)
    }

    /// What the listener presents: a certificate for the loopback addresses, valid or already expired.
    pub(crate) fn server_config(&self, validity: Validity) -> Result<Arc<ServerConfig>, CertificateError> {
        let mut params = params("kube-apiserver", &[], LONG);
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
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));

        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(CertificateError::Refused)?
            .with_client_cert_verifier(Arc::new(AskForCertificate::new(&self.provider)))
            .with_single_cert(vec![certificate.der().clone()], key)
            .map_err(CertificateError::Refused)?;
        config.alpn_protocols = self.protocols.alpn();
        config.session_storage = Arc::new(Forgetful);
        config.send_tls13_tickets = 1;
        Ok(Arc::new(config))
    }

    fn issue(&self, params: &CertificateParams) -> Result<Issued, CertificateError> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued { certificate_pem: certificate.pem(), key_pem: key.serialize_pem(), der: certificate.der().to_vec() })
    }
}

/// Whether a server certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validity {
    Good,
    Expired,
}

fn params(common_name: &str, organisations: &[String], lifetime: Duration) -> CertificateParams {
    let mut name = DistinguishedName::new();
    // The subject has room for one; the server knows the others of a user by itself.
    if let Some(organisation) = organisations.first() {
        name.push(DnType::OrganizationName, organisation.as_str());
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

/// Hands out session tickets and honours none, so every connection proves both ends anew and a certificate that was
/// swapped is seen by the next connection.
///
/// Without tickets the server would have nothing to say after the handshake, and a client that lets small
/// writes wait for an acknowledgement (kube's does) would wait 40 ms before its first request.
#[derive(Debug)]
struct Forgetful;

impl StoresServerSessions for Forgetful {
    fn put(&self, _key: Vec<u8>, _session: Vec<u8>) -> bool {
        true
    }

    fn get(&self, _key: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn take(&self, _key: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn can_cache(&self) -> bool {
        true
    }
}

/// Asks for a client certificate and accepts any, or none, in the handshake.
///
/// That is how a real API server does it: whether the certificate is worth something is the authenticator's
/// question, and its answer is a 401 and not a broken handshake. The handshake still proves that the peer
/// holds the certificate's key.
#[derive(Debug)]
struct AskForCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl AskForCertificate {
    fn new(provider: &CryptoProvider) -> Self {
        Self { algorithms: provider.signature_verification_algorithms }
    }
}

impl ClientCertVerifier for AskForCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[SubjectHint] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
