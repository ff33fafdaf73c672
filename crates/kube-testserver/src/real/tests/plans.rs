//! Command lines, the file of tokens, keys and certificates.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::Outcome;
use crate::{
    access::credential::{Credential, User},
    real::{
        certificates::Pki,
        command::{ApiServerPlan, EtcdPlan, token_file},
    },
};

fn plan(directory: &Path) -> ApiServerPlan {
    ApiServerPlan { directory: directory.to_owned(), etcd_port: 2379, port: 6443 }
}

#[test]
fn etcd_listens_on_loopback_alone() {
    let plan = EtcdPlan { directory: "data".into(), client_port: 1, peer_port: 2 };
    let arguments = plan.arguments();
    for wanted in [
        "--listen-client-urls=http://127.0.0.1:1",
        "--advertise-client-urls=http://127.0.0.1:1",
        "--listen-peer-urls=http://127.0.0.1:2",
        "--initial-advertise-peer-urls=http://127.0.0.1:2",
        "--initial-cluster=testserver=http://127.0.0.1:2",
        "--name=testserver",
    ] {
        assert!(arguments.iter().any(|argument| argument == wanted), "{wanted} in {arguments:?}");
    }
    let addresses = arguments.iter().filter(|argument| argument.contains("://"));
    assert!(addresses.into_iter().all(|argument| argument.contains("://127.0.0.1:")), "{arguments:?}");
    assert!(arguments.iter().any(|argument| argument.starts_with("--data-dir=") && argument.contains("data")));
}

#[test]
fn the_command_line_has_all_that_the_server_needs() {
    let arguments = plan(Path::new("files")).arguments();
    for wanted in [
        "--etcd-servers=http://127.0.0.1:2379",
        "--secure-port=6443",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--authorization-mode=RBAC",
        "--disable-admission-plugins=ServiceAccount",
    ] {
        assert!(arguments.iter().any(|argument| argument == wanted), "{wanted} in {arguments:?}");
    }
    let mut names: Vec<&str> = arguments.iter().filter_map(|argument| argument.split('=').next()).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "no flag is given twice");
    assert!(names.contains(&"--service-account-issuer") && names.contains(&"--cert-dir"));
}

#[test]
fn every_file_of_the_command_line_exists() -> Outcome {
    let directory = tempfile::tempdir()?;
    Pki::new("admin", "system:masters")?.write_to(directory.path())?;
    let arguments = plan(directory.path()).arguments();
    let files: Vec<_> = arguments.iter().filter_map(|argument| argument.split_once("-file=")).collect();
    assert_eq!(files.len(), 6, "{files:?}");
    for (flag, path) in files {
        // The tokens are written apart, with the users.
        let is_there = flag == "--token-auth" || std::fs::read_to_string(path).is_ok_and(|text| text.contains("BEGIN"));
        assert!(is_there, "{flag} {path}");
    }
    Ok(())
}

#[test]
fn the_file_of_tokens_has_a_line_for_each() {
    let user = |name: &str| User::new(name).group("one").group("two");
    let credentials =
        [Credential::from_token(user("a").uid("1"), "x".to_owned()), Credential::from_token(user("b"), "y".to_owned())];
    assert_eq!(token_file(&credentials), "x,a,1,\"one,two\"\ny,b,,\"one,two\"\n");
}

#[tokio::test]
async fn server_and_administrator_trust_each_other() -> Outcome {
    let pki = Pki::new("admin", "system:masters")?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pki.ca_pem.as_bytes())?)?;
    let roots = Arc::new(roots);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).map(|certificate| vec![certificate]);
    let key = |pem: &str| PrivateKeyDer::from_pem_slice(pem.as_bytes());

    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build()?;
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain(&pki.server.certificate_pem)?, key(&pki.server.key_pem)?)?;
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain(&pki.admin.certificate_pem)?, key(&pki.admin.key_pem)?)?;

    for name in ["127.0.0.1", "localhost"] {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let accepted = TlsAcceptor::from(Arc::new(server.clone())).accept(near);
        let connected = TlsConnector::from(Arc::new(client.clone())).connect(ServerName::try_from(name)?, far);
        let (accepted, connected) = tokio::join!(accepted, connected);
        connected?;
        assert!(accepted?.get_ref().1.peer_certificates().is_some(), "{name}");
    }
    Ok(())
}

#[test]
fn the_administrator_is_in_the_group_of_masters() -> Outcome {
    let pki = Pki::new("the-admin", "system:masters")?;
    let certificate = CertificateDer::from_pem_slice(pki.admin.certificate_pem.as_bytes())?;
    for text in ["the-admin", "system:masters"] {
        assert!(certificate.windows(text.len()).any(|window| window == text.as_bytes()), "{text}");
    }
    Ok(())
}

#[test]
fn the_service_account_keys_are_of_the_forms_the_server_reads() -> Outcome {
    let pki = Pki::new("admin", "system:masters")?;
    assert!(pki.account_key_pem.starts_with("-----BEGIN PRIVATE KEY-----"));
    assert!(pki.account_public_key_pem.starts_with("-----BEGIN PUBLIC KEY-----"));
    Ok(())
}
