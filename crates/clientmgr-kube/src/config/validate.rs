//! Checks of a configuration that read nothing: the policy, what kubectl refuses, and what would make a client panic,
//! hang or fail without a reason.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};
use kube::Config;
use kube::config::{AuthInfo, Cluster, ExecConfig, ExecInteractiveMode};
use secrecy::{ExposeSecret, SecretString};

use super::address;
use super::credential_files;
use super::credentials;
use super::field::Places;
use super::impersonation::Impersonation;
use super::normalize;
use super::policy::Policy;
use super::source::Source;
use crate::auth::EXEC_VERSIONS;
use crate::error::{ConfigError, CredentialFile, ExecProblem, Failure};

/// A configuration that passed the checks.
pub(crate) struct Checked<'a> {
    pub(crate) cluster: Cow<'a, Cluster>,
    pub(crate) user: Cow<'a, AuthInfo>,
    pub(crate) places: Places,
}

/// Checks what `source` describes, that `policy` permits it, and as which user the program has requests made.
pub(crate) fn check<'a>(
    source: &'a Source,
    policy: Policy,
    impersonation: Option<&Impersonation>,
) -> Result<Checked<'a>, Failure> {
    let mut checked = match source {
        Source::Selection(selection) => {
            let parts = selection.parts().map_err(|error| selection.places.locate_config(error))?;
            let (cluster, user) = (Cow::Borrowed(parts.cluster), Cow::Borrowed(parts.user));
            Checked { cluster, user, places: selection.places }
        }
        Source::Config(config) => {
            let (cluster, user) = parts_of(config);
            Checked { cluster: Cow::Owned(cluster), user: Cow::Owned(user), places: Places::default() }
        }
    };
    let Checked { cluster, user, places } = &checked;
    check_parts(policy, cluster, user, *places).map_err(|error| places.locate_config(error))?;
    if let Some(impersonation) = impersonation {
        // After the policy, which is about the fields of the source.
        impersonation.apply(checked.user.to_mut());
        check_impersonation(&checked.user)?;
    }
    Ok(checked)
}

/// Adds the path of the field to an error about a kubeconfig as a whole.
pub(crate) fn of_whole(error: ConfigError) -> Failure {
    Places { of_kubeconfig: true, ..Places::default() }.locate_config(error)
}

/// Returns what `config` describes, as a kubeconfig would say it.
fn parts_of(config: &Config) -> (Cluster, AuthInfo) {
    let cluster = Cluster {
        server: Some(config.cluster_url.to_string()),
        insecure_skip_tls_verify: Some(config.accept_invalid_certs),
        certificate_authority: config.root_cert_file.as_ref().map(|path| path.to_string_lossy().into_owned()),
        proxy_url: config.proxy_url.as_ref().map(ToString::to_string),
        tls_server_name: config.tls_server_name.clone().filter(|name| !name.is_empty()),
        disable_compression: Some(config.disable_compression),
        ..Cluster::default()
    };
    let mut user = config.auth_info.clone();
    normalize::in_user(&mut user);
    (cluster, user)
}

fn check_parts(policy: Policy, cluster: &Cluster, user: &AuthInfo, places: Places) -> Result<(), ConfigError> {
    if let Some((permission, field)) = policy.denies(cluster, user) {
        return Err(ConfigError::Denied { permission, field });
    }
    check_cluster(cluster)?;
    check_identity(user)?;
    if let Some(exec) = &user.exec {
        check_exec(exec, user.auth_provider.is_some(), places.of_kubeconfig)?;
    }
    check_impersonation(user)?;
    credentials::method(user).map(drop)
}

fn check_cluster(cluster: &Cluster) -> Result<(), ConfigError> {
    let server = cluster.server.as_deref().ok_or(ConfigError::NoServer)?;
    address::server(server, cluster.tls_server_name.as_deref())?;
    if let Some(proxy) = &cluster.proxy_url {
        address::proxy(proxy)?;
    }
    let material = CredentialFile::CertificateAuthority;
    let (data, file) = (&cluster.certificate_authority_data, &cluster.certificate_authority);
    if data.is_some() && file.is_some() {
        return Err(ConfigError::ValueAndFile { material });
    }
    if cluster.insecure_skip_tls_verify == Some(true) && (data.is_some() || file.is_some()) {
        return Err(ConfigError::InsecureWithAuthority);
    }
    match data {
        Some(data) => credential_files::certificates(&credential_files::decode(material, data)?).map(drop),
        None => Ok(()),
    }
}

fn check_identity(user: &AuthInfo) -> Result<(), ConfigError> {
    let key_data = user.client_key_data.as_ref().map(SecretString::expose_secret);
    let certificate =
        (CredentialFile::ClientCertificate, user.client_certificate_data.as_deref(), &user.client_certificate);
    let key = (CredentialFile::ClientKey, key_data, &user.client_key);
    for (material, data, file) in [certificate, key] {
        if data.is_some() && file.is_some() {
            return Err(ConfigError::ValueAndFile { material });
        }
    }
    let is_given = |(_, data, file): (_, Option<&str>, &Option<String>)| data.is_some() || file.is_some();
    match (is_given(certificate), is_given(key)) {
        (true, false) => return Err(ConfigError::Missing { material: CredentialFile::ClientKey }),
        (false, true) => return Err(ConfigError::Missing { material: CredentialFile::ClientCertificate }),
        (true, true) | (false, false) => {}
    }
    if let Some(data) = certificate.1 {
        credential_files::client_certificate(credential_files::decode(certificate.0, data)?)?;
    }
    if let Some(data) = key.1 {
        credential_files::client_key(credential_files::decode(key.0, data)?)?;
    }
    Ok(())
}

/// What kubectl checks, and that no terminal is needed.
fn check_exec(exec: &ExecConfig, has_provider: bool, of_kubeconfig: bool) -> Result<(), ConfigError> {
    let wrong = |field, problem| Err(ConfigError::Exec { field, problem });
    let is_empty = |text: &Option<String>| text.as_ref().is_none_or(String::is_empty);
    if has_provider {
        return wrong("auth-provider", ExecProblem::AndAuthProvider);
    }
    if is_empty(&exec.command) {
        return wrong("exec.command", ExecProblem::NoCommand);
    }
    if is_empty(&exec.api_version) {
        return wrong("exec.apiVersion", ExecProblem::NoVersion);
    }
    let version = exec.api_version.as_deref().unwrap_or_default();
    if !EXEC_VERSIONS.contains(&version) {
        return wrong("exec.apiVersion", ExecProblem::Version);
    }
    let is_complete = |variable: &std::collections::HashMap<String, String>| {
        variable.get("name").is_some_and(|name| !name.is_empty() && !name.contains(['=', '\0']))
            && variable.get("value").is_none_or(|value| !value.contains('\0'))
    };
    if !exec.env.iter().flatten().all(is_complete) {
        return wrong("exec.env", ExecProblem::Variable);
    }
    match &exec.interactive_mode {
        // Those who made the configuration in code need not say that there is no terminal.
        None if of_kubeconfig && version == EXEC_VERSIONS[0] => wrong("exec.interactiveMode", ExecProblem::NoMode),
        Some(ExecInteractiveMode::Always) => wrong("exec.interactiveMode", ExecProblem::NeedsTerminal),
        None | Some(ExecInteractiveMode::IfAvailable | ExecInteractiveMode::Never) => Ok(()),
    }
}

fn check_impersonation(user: &AuthInfo) -> Result<(), ConfigError> {
    let is_header = |text: &str| HeaderValue::from_str(text).is_ok();
    let extra = user.impersonate_user_extra.as_ref();
    let is_extra_sent = extra.into_iter().flatten().all(|(name, values)| {
        let name = HeaderName::try_from(format!("impersonate-extra-{name}"));
        name.is_ok() && values.iter().all(|value| is_header(value))
    });
    let table = [
        ("as", user.impersonate.is_some(), user.impersonate.iter().all(|user| is_header(user))),
        ("as-uid", user.impersonate_uid.is_some(), user.impersonate_uid.iter().all(|uid| is_header(uid))),
        (
            "as-groups",
            user.impersonate_groups.is_some(),
            user.impersonate_groups.iter().flatten().all(|group| is_header(group)),
        ),
        ("as-user-extra", extra.is_some(), is_extra_sent),
    ];
    for (field, is_used, is_sent) in table {
        if is_used && user.impersonate.is_none() {
            return Err(ConfigError::ImpersonationWithoutUser { field });
        }
        if !is_sent {
            return Err(ConfigError::Impersonation { field });
        }
    }
    Ok(())
}
