//! [`Permission`]: what the policy of a configuration's origin permits or denies, and how that is said.

use std::fmt;

/// What a policy permits or denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Permission {
    Exec = 1,
    AuthProvider = 1 << 1,
    Files = 1 << 2,
    SkipTlsVerify = 1 << 3,
    PlainHttp = 1 << 4,
    BasicAuth = 1 << 5,
    Proxy = 1 << 6,
    Impersonation = 1 << 7,
    ProxyFromEnvironment = 1 << 8,
    /// User info in the server's URL: those who may use everything else get another error, since no server takes it.
    UserInfo = 1 << 9,
}

impl fmt::Display for Permission {
    /// What is denied, and what to do about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exec => {
                "credential plugins are denied by policy: use a token or a client certificate, or allow them with \
                 Policy::allow_exec"
            }
            Self::AuthProvider => {
                "authentication providers are denied by policy: use a token or a client certificate, or allow them with \
                 Policy::allow_auth_provider"
            }
            Self::Files => {
                "paths of files are denied by policy: embed the value, or allow them with Policy::allow_files"
            }
            Self::SkipTlsVerify => {
                "skipping the verification of the server's certificate is denied by policy: give a \
                 certificate-authority-data, or allow it with Policy::allow_skip_tls_verify"
            }
            Self::PlainHttp => {
                "plain http is denied by policy: use https, or allow it with Policy::allow_plain_http"
            }
            Self::BasicAuth => {
                "a username and password are denied by policy: use a token or a client certificate, or allow them with \
                 Policy::allow_basic_auth"
            }
            Self::Proxy => {
                "a proxy is denied by policy: remove it, or allow it with Policy::allow_proxy"
            }
            Self::Impersonation => {
                "impersonation is denied by policy: remove it, or allow it with Policy::allow_impersonation"
            }
            Self::ProxyFromEnvironment => "a proxy from the environment is denied by policy",
            Self::UserInfo => {
                "user info in a URL is denied by policy: use a token or a client certificate"
            }
        })
    }
}
