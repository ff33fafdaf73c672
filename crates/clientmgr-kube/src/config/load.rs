//! From an endpoint to kube's configuration, with everything checked that would make kube panic, hang, or fail where
//! nobody can tell why. Reads files, so it runs on a lane.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{AuthInfo, ExecConfig, KubeConfigOptions, Kubeconfig};
use secrecy::SecretString;

use super::address;
use super::cluster_config::Source;
use super::files;
use super::normalize;
use crate::auth::Token;
use crate::error::{AuthProviderError, ConfigError, CredentialFile, Failure};

/// A configuration that is fit to build a client from, and the credentials that are not left to kube.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) credentials: Credentials,
}

/// What a client authorizes itself by.
pub(crate) enum Credentials {
    /// A client certificate, a password, an authentication provider, or nothing: kube sees to it.
    InConfig,
    /// A fixed token.
    Token(Token),
    /// A token in a file, which is read again from time to time.
    TokenFile { path: PathBuf, token: Token },
    /// A credential plugin.
    Plugin(Box<ExecConfig>),
}

/// Loads `source`. Blocks.
pub(crate) fn load(source: &Source) -> Result<Loaded, Failure> {
    let mut config = match source {
        Source::Context { name, kubeconfig } => from_context(name, kubeconfig)?,
        Source::Config(config) => (**config).clone(),
    };
    normalize::in_user(&mut config.auth_info);
    normalize::unset(&mut config.tls_server_name);
    address::check(&config)?;
    if config.root_cert.as_ref().is_some_and(Vec::is_empty) {
        // kube takes any text for a bundle without certificates, and then trusts nobody.
        return Err(ConfigError::Pem { material: CredentialFile::CertificateAuthority }.into());
    }
    check_identity_files(&config.auth_info)?;
    let credentials = take_credentials(&mut config.auth_info)?;
    Ok(Loaded { config, credentials })
}

fn from_context(context: &str, kubeconfig: &Kubeconfig) -> Result<Config, Failure> {
    let named = kubeconfig.contexts.iter().find_map(|named| named.context.as_ref());
    let Some(inner) = named else {
        return Err(ConfigError::NoContext { context: context.to_owned() }.into());
    };
    let cluster = kubeconfig.clusters.iter().find_map(|named| named.cluster.as_ref());
    let Some(cluster) = cluster else {
        let (context, cluster) = (context.to_owned(), inner.cluster.clone());
        return Err(ConfigError::NoCluster { context, cluster }.into());
    };
    address::check_text(cluster.server.as_deref().unwrap_or_default())?;
    // kube, as kubectl, goes on without credentials, and the server is blamed for what is a slip of the pen.
    match &inner.user {
        None => return Err(ConfigError::NoUser { context: context.to_owned() }.into()),
        Some(user) if user.is_empty() => {
            return Err(ConfigError::NoUser { context: context.to_owned() }.into());
        }
        Some(user) if kubeconfig.auth_infos.is_empty() => {
            let (context, user) = (context.to_owned(), user.clone());
            return Err(ConfigError::UnknownUser { context, user }.into());
        }
        Some(_) => {}
    }
    let mut kubeconfig = kubeconfig.clone();
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        normalize::in_cluster(cluster);
        if let (Some(path), None) = (&cluster.certificate_authority, &cluster.certificate_authority_data) {
            files::check(CredentialFile::CertificateAuthority, Path::new(path))?;
        }
    }
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    let loading = Config::from_custom_kubeconfig(kubeconfig, &options);
    // It is `async` and yet awaits nothing.
    let config = futures::executor::block_on(loading).map_err(ConfigError::from)?;
    Ok(config)
}

fn check_identity_files(user: &AuthInfo) -> Result<(), ConfigError> {
    if let (Some(path), None) = (&user.client_certificate, &user.client_certificate_data) {
        files::check(CredentialFile::ClientCertificate, Path::new(path))?;
    }
    if let (Some(path), None) = (&user.client_key, &user.client_key_data) {
        files::check(CredentialFile::ClientKey, Path::new(path))?;
    }
    Ok(())
}

/// Takes out of `user` what kube would handle in a way that panics, hangs or goes wrong: tokens and plugins.
///
/// The order in which the kinds of credentials take precedence is kube's.
fn take_credentials(user: &mut AuthInfo) -> Result<Credentials, Failure> {
    let token = user.token.take();
    let token_file = user.token_file.take();
    let exec = user.exec.take();
    if let Some(provider) = &user.auth_provider {
        let name = provider.name.clone();
        return match name.as_str() {
            "oidc" => {
                let token = provider.config.get("id-token").filter(|token| !token.is_empty());
                let token = SecretString::from(token.ok_or(AuthProviderError::NoToken)?.as_str());
                if cfg!(feature = "oidc") {
                    return Ok(Credentials::InConfig);
                }
                // Without the feature kube sends the token as it stands.
                user.auth_provider = None;
                Ok(Credentials::Token(fixed(&token)?))
            }
            // With a command it runs as a plugin does, and without a deadline.
            "gcp" if cfg!(feature = "oauth") && !provider.config.contains_key("cmd-path") => Ok(Credentials::InConfig),
            _ => Err(ConfigError::AuthProvider { name }.into()),
        };
    }
    if user.username.is_some() && user.password.is_some() {
        return Ok(Credentials::InConfig);
    }
    if let Some(token) = token {
        return Ok(Credentials::Token(fixed(&token)?));
    }
    if let Some(path) = token_file {
        let path = PathBuf::from(path);
        let token = read_token(&path)?;
        return Ok(Credentials::TokenFile { path, token });
    }
    match exec {
        Some(exec) => Ok(Credentials::Plugin(Box::new(exec))),
        // kube sends no name without a password: it would be nobody's request.
        None if user.username.is_some() && !has_certificate(user) => Err(ConfigError::NoPassword.into()),
        None => Ok(Credentials::InConfig),
    }
}

fn has_certificate(user: &AuthInfo) -> bool {
    user.client_certificate.is_some() || user.client_certificate_data.is_some()
}

fn fixed(token: &SecretString) -> Result<Token, ConfigError> {
    Ok(Token::new(token)?)
}

/// Reads a token from a file. Blocks.
pub(crate) fn read_token(path: &Path) -> Result<Token, ConfigError> {
    let material = CredentialFile::TokenFile;
    files::check(material, path)?;
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|file| file.take(files::LIMIT).read_to_string(&mut text))
        .map_err(|source| files::unreadable(material, path, source))?;
    Ok(Token::new(&SecretString::from(text))?)
}
