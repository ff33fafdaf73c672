//! What the server says in a TLS handshake.

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, DistinguishedName as SubjectHint, Error as TlsError, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject as _},
    server::{
        StoresServerSessions,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use crate::pki::{
    authority::Authority, certificate_error::CertificateError, issued::Validity, provider::provider,
    security::Protocols,
};

/// What a listener presents: a new certificate of this authority, valid or already expired.
pub(crate) fn server_config(
    authority: &Authority,
    protocols: Protocols,
    validity: Validity,
) -> Result<Arc<ServerConfig>, CertificateError> {
    let issued = authority.issue_server(validity)?;
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes())?;
    let provider = Arc::new(provider()?);
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(AskForCertificate::new(&provider)))
        .with_single_cert(vec![issued.der.into()], key)?;
    config.alpn_protocols = protocols.alpn();
    config.session_storage = Arc::new(Forgetful);
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
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
