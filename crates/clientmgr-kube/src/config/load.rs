//! From a configuration to what a transport is built from. Reads files, so it blocks: it runs on a blocking worker.

use std::fs;
use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{AuthInfo, Cluster, ExecAuthCluster, ExecConfig};
use secrecy::{ExposeSecret, SecretString};

use super::cluster_config::ClusterConfig;
use super::credentials::{self, Method};
use super::environment::Environment;
use super::field::Places;
use super::file_fields::FileFields;
use super::selection::Selection;
use super::source::Source;
use super::validate::Checked;
use super::{address, credential_files};
use crate::auth::{Identity, Token};
use crate::error::{ConfigError, CredentialFile, Failure, Permission};

/// The name that client-go reserves for a cluster's configuration of its credential plugin.
const EXEC_EXTENSION: &str = "client.authentication.k8s.io/exec";

/// What a transport is built from.
pub(crate) struct Loaded {
    /// Server, certificate authority, proxy, impersonation and the like. Its `auth_info` holds no token, certificate or
    /// plugin: only what kube's own authorization layer sends stays, which is a password or an authentication provider.
    pub(crate) config: Config,
    pub(crate) client_cert: Option<Identity>,
    pub(crate) credentials: Credentials,
    /// The files that were read, or will be. When one changes, load again.
    pub(crate) files: Vec<PathBuf>,
    places: Places,
}

/// How requests are authorized, beside a client certificate.
pub(crate) enum Credentials {
    /// By nothing.
    None,
    /// By a fixed token.
    Token(Token),
    /// By the token in a file, as it was when it was read.
    TokenFile(Token),
    /// By what a credential plugin issues.
    Exec(Box<ExecConfig>),
    /// By what kube's own layer adds: a password, or an authentication provider.
    Kube,
}

impl Loaded {
    /// What a configuration with nothing else would load as.
    #[cfg(test)]
    pub(crate) fn of(config: Config, credentials: Credentials) -> Self {
        Self { config, client_cert: None, credentials, files: Vec::new(), places: Places::default() }
    }

    /// Adds to `failure`, which came of using this, the path of the field that it is about.
    pub(crate) fn locate(&self, failure: Failure) -> Failure {
        self.places.locate(failure)
    }
}

/// Loads `config`: checks it, and reads the files that it names. Blocks.
pub(crate) fn load(config: &ClusterConfig) -> Result<Loaded, Failure> {
    load_in(config, &Environment::of_process())
}

/// Returns whether `config` names a file, whatever the checks make of it. If not, loading it only computes.
pub(crate) fn names_files(config: &ClusterConfig) -> bool {
    match config.source() {
        Source::Selection(selection) => {
            let fields = FileFields::of(selection.cluster.as_ref(), selection.user.as_ref());
            selection.namespace_file.is_some() || fields.any_is_set()
        }
        Source::Config(config) => {
            config.root_cert_file.is_some() || FileFields::of(None, Some(&config.auth_info)).any_is_set()
        }
    }
}

/// Returns the files that `config` names, whether they are there or not; none where it does not pass the checks.
pub(crate) fn files(config: &ClusterConfig) -> Vec<PathBuf> {
    let checked = config.check();
    checked.map(|checked| files_of(config.source(), &checked)).unwrap_or_default()
}

fn files_of(source: &Source, Checked { cluster, user, .. }: &Checked<'_>) -> Vec<PathBuf> {
    let namespace = match source {
        Source::Selection(selection) => selection.namespace_file.clone(),
        Source::Config(_) => None,
    };
    FileFields::of(Some(cluster), Some(user)).in_use().chain(namespace).collect()
}

pub(super) fn load_in(config: &ClusterConfig, environment: &Environment) -> Result<Loaded, Failure> {
    let checked = config.check()?;
    let places = checked.places;
    read(config, &checked, environment).map_err(|error| places.locate_config(error))
}

fn read(config: &ClusterConfig, checked: &Checked<'_>, environment: &Environment) -> Result<Loaded, ConfigError> {
    let Checked { cluster, user, places } = checked;
    let fields = FileFields::of(Some(cluster), Some(user));
    let bundle = fields.certificate_authority.read()?;
    let client_cert = client_cert(&fields)?;
    let credentials = match credentials::method(user)? {
        Method::None => Credentials::None,
        Method::Kube => Credentials::Kube,
        Method::Token(token) => Credentials::Token(token),
        Method::TokenFile { path, fallback } => {
            let token = read_token(Path::new(path)).or_else(|error| fallback.ok_or(error))?;
            Credentials::TokenFile(token)
        }
        Method::Exec(exec) => Credentials::Exec(Box::new(for_plugin(exec, cluster, bundle.as_deref()))),
    };

    let mut loaded = match config.source() {
        Source::Config(config) => Config::clone(config),
        Source::Selection(selection) => {
            let uses_environment = config.policy().permits(Permission::ProxyFromEnvironment);
            let environment = uses_environment.then_some(environment);
            of_selection(selection, cluster, environment)?
        }
    };
    if let Some(bundle) = &bundle {
        loaded.root_cert = Some(credential_files::certificates(bundle)?);
    } else if loaded.root_cert.as_ref().is_some_and(Vec::is_empty) {
        // With an empty bundle every handshake would fail.
        return Err(ConfigError::Pem { material: CredentialFile::CertificateAuthority });
    }
    loaded.root_cert_file = None;
    loaded.tls_server_name.clone_from(&cluster.tls_server_name);
    if let Some(namespace) = config.default_namespace() {
        namespace.clone_into(&mut loaded.default_namespace);
    }
    loaded.auth_info = left_to_kube(user, &credentials);
    let files = files_of(config.source(), checked);
    Ok(Loaded { config: loaded, client_cert, credentials, files, places: *places })
}

/// Returns kube's configuration of what a kubeconfig says of a cluster.
fn of_selection(
    selection: &Selection,
    cluster: &Cluster,
    environment: Option<&Environment>,
) -> Result<Config, ConfigError> {
    let server = cluster.server.as_deref().ok_or(ConfigError::NoServer)?;
    let mut config = Config::new(address::server(server, cluster.tls_server_name.as_deref())?);
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or_default();
    config.disable_compression = cluster.disable_compression.unwrap_or_default();
    config.proxy_url = match (&cluster.proxy_url, environment) {
        (Some(proxy), _) => Some(address::proxy(proxy)?),
        (None, Some(environment)) => environment.proxy_for(&config.cluster_url)?,
        (None, None) => None,
    };
    let namespace = selection.context.as_ref().and_then(|context| context.namespace.clone());
    let namespace = namespace.or_else(|| {
        let path = selection.namespace_file.as_ref()?;
        let namespace = fs::read_to_string(path).ok()?;
        Some(namespace.trim().to_owned())
    });
    if let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) {
        config.default_namespace = namespace;
    }
    Ok(config)
}

fn client_cert(fields: &FileFields<'_>) -> Result<Option<Identity>, ConfigError> {
    let (certificate, key) = (fields.client_certificate.read()?, fields.client_key.read()?);
    let Some((certificate, key)) = certificate.zip(key) else { return Ok(None) };
    let (certificate, key) = (credential_files::client_certificate(certificate)?, credential_files::client_key(key)?);
    Ok(Some(Identity::new(&certificate, key.expose_secret())))
}

/// Returns the plugin's configuration, with the cluster's where `provideClusterInfo` asks for it.
fn for_plugin(exec: &ExecConfig, cluster: &Cluster, bundle: Option<&[u8]>) -> ExecConfig {
    let mut exec = exec.clone();
    if exec.provide_cluster_info && exec.cluster.is_none() {
        let extensions = cluster.extensions.iter().flatten();
        let config =
            extensions.filter(|named| named.name == EXEC_EXTENSION).map(|named| named.extension.clone()).next();
        exec.cluster = Some(ExecAuthCluster {
            server: cluster.server.clone(),
            insecure_skip_tls_verify: cluster.insecure_skip_tls_verify,
            certificate_authority_data: bundle.map(<[u8]>::to_vec),
            proxy_url: cluster.proxy_url.clone(),
            tls_server_name: cluster.tls_server_name.clone(),
            config,
        });
    }
    exec
}

/// Returns what kube's own layers send of `user`.
fn left_to_kube(user: &AuthInfo, credentials: &Credentials) -> AuthInfo {
    let mut left = AuthInfo {
        impersonate: user.impersonate.clone(),
        impersonate_uid: user.impersonate_uid.clone(),
        impersonate_groups: user.impersonate_groups.clone(),
        impersonate_user_extra: user.impersonate_user_extra.clone(),
        ..AuthInfo::default()
    };
    if matches!(credentials, Credentials::Kube) {
        match (&user.username, &user.password) {
            (Some(username), Some(password)) => {
                left.username = Some(username.clone());
                left.password = Some(password.clone());
            }
            _ => left.auth_provider.clone_from(&user.auth_provider),
        }
    }
    left
}

/// Reads a token from a file. Blocks.
pub(crate) fn read_token(path: &Path) -> Result<Token, ConfigError> {
    let text = credential_files::read(CredentialFile::TokenFile, path)?;
    let text = SecretString::from(String::from_utf8_lossy(&text).into_owned());
    credentials::token("tokenFile", &text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use clientmgr_fake::apiserver::TestServer;
    use kube::Config;

    use super::super::environment::Environment;
    use super::{Credentials, Loaded, load, load_in, names_files};
    use crate::error::Failure;
    use crate::{ClusterConfig, Impersonation, Policy};

    const SECRET: &[u8] = b"current-context: c
contexts: [{name: c, context: {cluster: c, user: u, namespace: n}}]
clusters: [{name: c, cluster: {server: 'https://east.example.com'}}]
users: [{name: u, user: {token: t}}]";

    fn secret() -> ClusterConfig {
        ClusterConfig::from_secret(SECRET, None).unwrap()
    }

    /// An environment whose proxy cannot be used.
    fn environment() -> Environment {
        Environment::new(|name| (name == "HTTPS_PROXY").then(|| "http://a b".to_owned()))
    }

    fn loaded(config: &ClusterConfig) -> Loaded {
        load(config).unwrap_or_else(|failure| panic!("{failure}"))
    }

    #[test]
    fn a_proxy_of_the_environment_does_not_apply_to_secrets() {
        assert!(load_in(&secret(), &environment()).is_ok());
        for policy in [Policy::trusted(), Policy::for_secrets().use_proxy_from_environment(true)] {
            let failure = load_in(&secret().with_policy(policy), &environment()).err().unwrap();
            assert!(failure.to_string().contains("HTTPS_PROXY"), "{failure}");
            assert_eq!(failure.field(), None);
        }
    }

    #[test]
    fn the_default_namespace_is_the_contexts_unless_it_is_set() {
        assert_eq!(loaded(&secret()).config.default_namespace, "n");
        assert_eq!(loaded(&secret().with_default_namespace("m")).config.default_namespace, "m");
    }

    #[tokio::test]
    async fn a_service_account_is_read_from_its_files_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        let ca = TestServer::start_default().await.unwrap().ca_pem().unwrap();
        let config = ClusterConfig::of_service_account("https://10.0.0.1:443", directory.path());
        config.validate().unwrap();

        let failure = load(&config).err().unwrap();
        assert!(failure.to_string().contains("ca.crt") && failure.field().is_none(), "{failure}");
        write("ca.crt", &ca);
        write("token", "first\n");
        write("namespace", "team\n");
        let first = load_in(&config, &environment()).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!((first.config.default_namespace.as_str(), first.files.len()), ("team", 3));
        assert!(first.files.iter().all(|path| path.starts_with(directory.path())));
        assert!(first.config.root_cert.is_some() && first.config.auth_info.token_file.is_none());
        write("token", "second");
        let second = loaded(&config);
        let Credentials::TokenFile(token) = second.credentials else { panic!("no token file") };
        assert_eq!(token.header(), "Bearer second");
        assert!(second.files.contains(&directory.path().join("token")));
    }

    #[tokio::test]
    async fn a_service_account_that_impersonates_is_read_from_its_files_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write("ca.crt", &TestServer::start_default().await.unwrap().ca_pem().unwrap());
        let account = ClusterConfig::of_service_account("https://10.0.0.1:443", directory.path());
        let config = account.with_impersonation(Impersonation::new("tenant"));
        config.validate().unwrap();
        for token in ["first", "second"] {
            // There is no file with the namespace: many volumes have none.
            write("token", token);
            let loaded = loaded(&config);
            let Credentials::TokenFile(read) = loaded.credentials else { panic!("no token file") };
            assert_eq!(read.header(), format!("Bearer {token}"));
            assert_eq!(loaded.config.auth_info.impersonate.as_deref(), Some("tenant"));
            assert!(loaded.files.contains(&directory.path().join("token")));
        }
    }

    #[test]
    fn an_impersonation_by_the_program_replaces_that_of_the_kubeconfig_and_is_no_matter_of_policy() {
        let text = String::from_utf8(SECRET.to_vec()).unwrap().replace("token: t", "token: t, as: a, as-groups: [g]");
        let config = ClusterConfig::from_secret(text.as_bytes(), None).unwrap();
        let program = || Impersonation::new("tenant");
        let denied = config.clone().with_impersonation(program()).validate().unwrap_err();
        assert_eq!(denied.field(), Some("users[0].user.as"), "the Secret's own is denied all the same");
        let user = loaded(&config.with_policy(Policy::trusted()).with_impersonation(program())).config.auth_info;
        assert_eq!((user.impersonate.as_deref(), user.impersonate_groups), (Some("tenant"), None));
        let broken = secret().with_impersonation(Impersonation::new("line\nbreak"));
        assert!(broken.validate().is_err());
    }

    #[tokio::test]
    async fn a_bundle_in_a_file_of_a_ready_configuration_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut config = Config::new(http::Uri::from_static("https://east"));
        config.root_cert = Some(vec![vec![1]]);
        config.root_cert_file = Some(file.path().to_owned());
        assert!(matches!(load(&config.clone().into()), Err(Failure::Config(_))), "the bundle is empty");
        fs::write(file.path(), TestServer::start_default().await.unwrap().ca_pem().unwrap()).unwrap();
        let loaded = loaded(&config.into());
        assert_ne!(loaded.config.root_cert, Some(vec![vec![1]]));
        assert_eq!((loaded.files, loaded.config.root_cert_file), (vec![file.path().to_owned()], None));
    }

    #[test]
    fn a_configuration_that_names_a_file_in_any_field_is_known_to() {
        let ready = |edit: fn(&mut Config)| {
            let mut config = Config::new(http::Uri::from_static("https://east"));
            edit(&mut config);
            names_files(&config.into())
        };
        assert!(!ready(|_| {}) && !names_files(&secret()));
        assert!(ready(|config| config.root_cert_file = Some("/ca".into())));
        assert!(ready(|config| config.auth_info.client_certificate = Some("/crt".into())));
        assert!(ready(|config| config.auth_info.client_key = Some("/key".into())));
        assert!(ready(|config| config.auth_info.token_file = Some("/token".into())));
        assert!(names_files(&ClusterConfig::of_service_account("https://10.0.0.1:443", Path::new("/a"))));
        let kubeconfig = |cluster: &str| {
            let text = format!(
                "{{contexts: [{{name: c, context: {{cluster: c, user: u}}}}], users: [{{name: u, user: {{}}}}], \
                 clusters: [{{name: c, cluster: {{server: 'https://east'{cluster}}}}}]}}"
            );
            names_files(&ClusterConfig::from_kubeconfig(&kube::config::Kubeconfig::from_yaml(&text).unwrap(), "c"))
        };
        assert!(!kubeconfig("") && kubeconfig(", certificate-authority: /ca"));
    }
}
