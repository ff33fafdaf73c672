//! [`Policy`]: what a kubeconfig may do, by where it comes from. Writing a Secret must not be enough to run commands,
//! read files or reach other networks as the controller. Pure: looks at fields, reads nothing.

use std::fmt;

use kube::config::{AuthInfo, Cluster};

use crate::error::{Field, Permission};

/// What a kubeconfig may do.
///
/// A kubeconfig that an operator wrote is trusted. One from a Secret is input: who can write the Secret is often not who
/// runs the controller, and a credential plugin is a command on the controller's machine. A field that the policy does not
/// permit is an error of the kind [`DeniedByPolicy`](crate::ConnectErrorKind::DeniedByPolicy) that names the field; the
/// field is never left out in silence.
///
/// | | [`trusted`](Self::trusted) | [`for_secrets`](Self::for_secrets) |
/// |---|---|---|
/// | credential plugins (`exec`) | yes | no |
/// | authentication providers (`auth-provider`) | yes | no |
/// | paths of files (`tokenFile`, `client-key`, …) | yes | no |
/// | `insecure-skip-tls-verify` | yes | no |
/// | plain `http` | yes | no |
/// | `username` and `password` | yes | no |
/// | `proxy-url` | yes | no |
/// | impersonation (`as`, …) | yes | no |
/// | `HTTPS_PROXY` of the environment applies | yes | no |
///
/// User info in the server's URL is never permitted.
///
/// # Examples
///
/// Secrets in a network that is reached through a proxy:
///
/// ```
/// use clientmgr_kube::Policy;
///
/// let policy = Policy::for_secrets().allow_proxy(true);
/// assert_ne!(policy, Policy::trusted());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Policy {
    /// One bit for each [`Permission`].
    permissions: u16,
}

impl Policy {
    /// Returns the policy that permits everything: for kubeconfigs that the operator of the program wrote.
    pub fn trusted() -> Self {
        Self { permissions: u16::MAX }
    }

    /// Returns the policy that permits a server with `https`, its certificate authority, and a token or a client
    /// certificate, all of them embedded.
    pub fn for_secrets() -> Self {
        Self { permissions: 0 }
    }

    /// Permits or denies credential plugins (`exec`): commands that run beside the program, with its rights.
    #[must_use = "returns the changed policy"]
    pub fn allow_exec(self, allow: bool) -> Self {
        self.with(Permission::Exec, allow)
    }

    /// Permits or denies authentication providers (`auth-provider`), which send requests to an issuer that the
    /// kubeconfig names.
    #[must_use = "returns the changed policy"]
    pub fn allow_auth_provider(self, allow: bool) -> Self {
        self.with(Permission::AuthProvider, allow)
    }

    /// Permits or denies paths of files: `certificate-authority`, `client-certificate`, `client-key`, `tokenFile`. They
    /// are read with the program's rights, and a token file's content is sent to the server.
    #[must_use = "returns the changed policy"]
    pub fn allow_files(self, allow: bool) -> Self {
        self.with(Permission::Files, allow)
    }

    /// Permits or denies `insecure-skip-tls-verify`.
    #[must_use = "returns the changed policy"]
    pub fn allow_skip_tls_verify(self, allow: bool) -> Self {
        self.with(Permission::SkipTlsVerify, allow)
    }

    /// Permits or denies servers with plain `http`.
    #[must_use = "returns the changed policy"]
    pub fn allow_plain_http(self, allow: bool) -> Self {
        self.with(Permission::PlainHttp, allow)
    }

    /// Permits or denies `username` and `password`.
    #[must_use = "returns the changed policy"]
    pub fn allow_basic_auth(self, allow: bool) -> Self {
        self.with(Permission::BasicAuth, allow)
    }

    /// Permits or denies `proxy-url`.
    #[must_use = "returns the changed policy"]
    pub fn allow_proxy(self, allow: bool) -> Self {
        self.with(Permission::Proxy, allow)
    }

    /// Permits or denies impersonation: `as`, `as-uid`, `as-groups`, `as-user-extra`.
    #[must_use = "returns the changed policy"]
    pub fn allow_impersonation(self, allow: bool) -> Self {
        self.with(Permission::Impersonation, allow)
    }

    /// Sets whether `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` of the environment apply, as they do to kubectl.
    #[must_use = "returns the changed policy"]
    pub fn use_proxy_from_environment(self, apply: bool) -> Self {
        self.with(Permission::ProxyFromEnvironment, apply)
    }

    fn with(self, permission: Permission, allow: bool) -> Self {
        let bit = permission as u16;
        Self { permissions: if allow { self.permissions | bit } else { self.permissions & !bit } }
    }

    pub(crate) fn permits(self, permission: Permission) -> bool {
        self.permissions & permission as u16 != 0
    }

    pub(crate) fn bits(self) -> u16 {
        self.permissions
    }

    /// Returns the first field of `cluster` and `user` that this policy denies. Empty fields were taken out of both.
    pub(crate) fn denies(self, cluster: &Cluster, user: &AuthInfo) -> Option<(Permission, Field)> {
        used(cluster, user).find(|(permission, _)| !self.permits(*permission))
    }
}

/// Returns what a cluster and a user make use of, with the field that does.
fn used(cluster: &Cluster, user: &AuthInfo) -> impl Iterator<Item = (Permission, Field)> {
    let server = cluster.server.as_deref().unwrap_or_default();
    let is_plain = server.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"));
    let authority = server.split_once("://").map_or(server, |(_, rest)| rest);
    let has_user_info = authority.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'));
    let table = [
        (user.exec.is_some(), Permission::Exec, Field::User("exec")),
        (user.auth_provider.is_some(), Permission::AuthProvider, Field::User("auth-provider")),
        (cluster.certificate_authority.is_some(), Permission::Files, Field::Cluster("certificate-authority")),
        (user.client_certificate.is_some(), Permission::Files, Field::User("client-certificate")),
        (user.client_key.is_some(), Permission::Files, Field::User("client-key")),
        (user.token_file.is_some(), Permission::Files, Field::User("tokenFile")),
        (
            cluster.insecure_skip_tls_verify == Some(true),
            Permission::SkipTlsVerify,
            Field::Cluster("insecure-skip-tls-verify"),
        ),
        (is_plain, Permission::PlainHttp, Field::Cluster("server")),
        (has_user_info, Permission::UserInfo, Field::Cluster("server")),
        (user.username.is_some(), Permission::BasicAuth, Field::User("username")),
        (user.password.is_some(), Permission::BasicAuth, Field::User("password")),
        (cluster.proxy_url.is_some(), Permission::Proxy, Field::Cluster("proxy-url")),
        (user.impersonate.is_some(), Permission::Impersonation, Field::User("as")),
        (user.impersonate_uid.is_some(), Permission::Impersonation, Field::User("as-uid")),
        (user.impersonate_groups.is_some(), Permission::Impersonation, Field::User("as-groups")),
        (user.impersonate_user_extra.is_some(), Permission::Impersonation, Field::User("as-user-extra")),
    ];
    table.into_iter().filter_map(|(is_used, permission, field)| is_used.then_some((permission, field)))
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = f.debug_struct("Policy");
        for (name, permission) in NAMES {
            set.field(name, &self.permits(permission));
        }
        set.finish()
    }
}

const NAMES: [(&str, Permission); 9] = [
    ("exec", Permission::Exec),
    ("auth_provider", Permission::AuthProvider),
    ("files", Permission::Files),
    ("skip_tls_verify", Permission::SkipTlsVerify),
    ("plain_http", Permission::PlainHttp),
    ("basic_auth", Permission::BasicAuth),
    ("proxy", Permission::Proxy),
    ("impersonation", Permission::Impersonation),
    ("proxy_from_environment", Permission::ProxyFromEnvironment),
];

#[cfg(test)]
mod tests {
    use super::Policy;
    use crate::{ClusterConfig, ConnectErrorKind};

    const CONTEXTS: &str = "contexts: [{name: x}, {name: c, context: {cluster: c, user: u}}]\ncurrent-context: c\n";

    fn config(cluster: &str, user: &str) -> ClusterConfig {
        let text = format!(
            "{CONTEXTS}clusters: [{{name: c, cluster: {{{cluster}}}}}]\nusers: [{{name: x}}, {{name: u, user: {{{user}}}}}]"
        );
        ClusterConfig::from_secret(text.as_bytes(), None).unwrap()
    }

    #[test]
    fn a_setting_that_is_set_twice_is_as_it_was_set_last() {
        for policy in [Policy::trusted(), Policy::for_secrets()] {
            let allowed = policy.allow_exec(true);
            assert_eq!(allowed.allow_exec(true), allowed);
            assert_eq!(allowed.allow_exec(false).allow_exec(false), policy.allow_exec(false));
        }
    }

    /// What a kubeconfig may hold, the field that the policy for Secrets denies, and the policy that permits it.
    fn table() -> Vec<(ClusterConfig, &'static str, Option<Policy>)> {
        const HTTPS: &str = "server: 'https://east'";
        let cluster = |more: &str| config(&format!("{HTTPS}, {more}"), "token: t");
        let user = |user: &str| config(HTTPS, user);
        let policy = Policy::for_secrets();
        let exec = "exec: {apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: Never}";
        vec![
            (user(exec), "users[1].user.exec", Some(policy.allow_exec(true))),
            (
                user("auth-provider: {name: oidc, config: {id-token: x}}"),
                "users[1].user.auth-provider",
                Some(policy.allow_auth_provider(true)),
            ),
            (
                cluster("certificate-authority: /ca"),
                "clusters[0].cluster.certificate-authority",
                Some(policy.allow_files(true)),
            ),
            (user("tokenFile: /token"), "users[1].user.tokenFile", Some(policy.allow_files(true))),
            (
                user("client-certificate: /crt, client-key: /key"),
                "users[1].user.client-certificate",
                Some(policy.allow_files(true)),
            ),
            (
                cluster("insecure-skip-tls-verify: true"),
                "clusters[0].cluster.insecure-skip-tls-verify",
                Some(policy.allow_skip_tls_verify(true)),
            ),
            (
                config("server: 'HTTP://east'", "token: t"),
                "clusters[0].cluster.server",
                Some(policy.allow_plain_http(true)),
            ),
            (config("server: 'https://me:secret@east/'", "token: t"), "clusters[0].cluster.server", None),
            (user("username: me, password: sesame"), "users[1].user.username", Some(policy.allow_basic_auth(true))),
            (user("token: t, as: me"), "users[1].user.as", Some(policy.allow_impersonation(true))),
            (user("token: t, as-groups: [x], as: me"), "users[1].user.as", Some(policy.allow_impersonation(true))),
            (user("token: t, as-user-extra: {x: [y]}"), "users[1].user.as-user-extra", None),
            (user("token: t, as-uid: x"), "users[1].user.as-uid", None),
            (user("token: t, as-groups: [x]"), "users[1].user.as-groups", None),
        ]
    }

    #[test]
    fn what_the_policy_denies_is_an_error_that_names_the_field() {
        for (config, field, _) in table() {
            let error = config.validate().unwrap_err();
            assert_eq!((error.kind(), error.field()), (ConnectErrorKind::DeniedByPolicy, Some(field)), "{error}");
            assert!(error.needs_other_config() && error.to_string().contains(field), "{error}");
            let loaded = super::super::load(&config).err().map(|failure| failure.kind());
            assert_eq!(loaded, Some(ConnectErrorKind::DeniedByPolicy), "{field}");
        }
    }

    #[test]
    fn each_permission_permits_what_it_says_and_nothing_else() {
        for (config, field, permitting) in table() {
            let Some(permitting) = permitting else { continue };
            config.clone().with_policy(permitting).validate().unwrap();
            config.clone().with_policy(Policy::trusted()).validate().unwrap();
            for other in table().into_iter().filter_map(|(_, _, policy)| policy).filter(|other| *other != permitting) {
                let error = config.clone().with_policy(other).validate().unwrap_err();
                assert_eq!(error.kind(), ConnectErrorKind::DeniedByPolicy, "{field} with {other:?}");
            }
        }
    }

    #[test]
    fn a_proxy_is_denied_to_secrets() {
        let config = config("server: 'https://east', proxy-url: 'http://proxy:1'", "token: t");
        let error = config.validate().unwrap_err();
        assert_eq!(error.field(), Some("clusters[0].cluster.proxy-url"));
        assert_eq!(error.kind(), ConnectErrorKind::DeniedByPolicy);
        let permitted = config.with_policy(Policy::for_secrets().allow_proxy(true)).validate();
        assert_eq!(permitted.is_ok(), cfg!(feature = "http-proxy"));
    }

    #[test]
    fn a_plain_kubeconfig_needs_no_permission() {
        config("server: 'https://east', tls-server-name: west", "token: t").validate().unwrap();
        config("server: 'https://east', insecure-skip-tls-verify: false, proxy-url: ''", "token: t, as: ''")
            .validate()
            .unwrap();
    }

    #[test]
    fn a_permission_can_be_taken_back() {
        assert_eq!(Policy::for_secrets().allow_exec(true).allow_exec(false), Policy::for_secrets());
        assert_ne!(Policy::trusted().allow_files(false), Policy::trusted());
        assert!(format!("{:?}", Policy::for_secrets().allow_files(true)).contains("files: true"));
    }

    #[test]
    fn a_kubeconfig_from_a_secret_is_of_limited_size_and_has_a_current_context() {
        let limit = 1024 * 1024;
        let mut text = format!("{CONTEXTS}clusters: []\n#").into_bytes();
        text.resize(limit, b'x');
        assert!(ClusterConfig::from_secret(&text, None).is_ok());
        text.push(b'x');
        let error = ClusterConfig::from_secret(&text, None).unwrap_err();
        assert_eq!(error.to_string(), "the kubeconfig is larger than 1048576 bytes");

        let error = ClusterConfig::from_secret(b"contexts: [{name: c}]", None).unwrap_err();
        assert_eq!(error.field(), Some("current-context"));
        assert!(ClusterConfig::from_secret(b"contexts: [{name: c}]", Some("c")).is_ok());
        assert!(ClusterConfig::from_secret(b"\xff\xfe", None).is_err());
    }
}
