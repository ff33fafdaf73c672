//! Where a Pod finds its API server and its service account.

use crate::error::ConfigError;

/// Where the kubelet mounts the service account: `token`, `ca.crt` and `namespace`.
pub(crate) const DIRECTORY: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

const HOST: &str = "KUBERNETES_SERVICE_HOST";
const PORT: &str = "KUBERNETES_SERVICE_PORT";

/// Returns the API server's URL by the variables that the kubelet sets.
pub(crate) fn server(variable: impl Fn(&str) -> Option<String>) -> Result<String, ConfigError> {
    let missing = |variable| ConfigError::NotInCluster { variable };
    let host = variable(HOST).filter(|host| !host.is_empty()).ok_or(missing(HOST))?;
    let port: u16 = variable(PORT).and_then(|port| port.parse().ok()).ok_or(missing(PORT))?;
    let is_bare_ipv6 = host.parse::<std::net::Ipv6Addr>().is_ok();
    Ok(if is_bare_ipv6 { format!("https://[{host}]:{port}") } else { format!("https://{host}:{port}") })
}

#[cfg(test)]
mod tests {
    use super::{HOST, server};
    use crate::error::ConfigError;

    fn of(host: Option<&str>, port: Option<&str>) -> Result<String, ConfigError> {
        server(|name| if name == HOST { host } else { port }.map(Into::into))
    }

    #[test]
    fn the_server_is_what_the_kubelet_says() {
        assert_eq!(of(Some("10.0.0.1"), Some("443")).unwrap(), "https://10.0.0.1:443");
        assert_eq!(of(Some("fd00::1"), Some("6443")).unwrap(), "https://[fd00::1]:6443");
    }

    #[test]
    fn outside_a_pod_is_an_error_that_names_the_variable() {
        for (host, port, name) in [
            (None, Some("443"), HOST),
            (Some(""), Some("443"), HOST),
            (Some("10.0.0.1"), None, "KUBERNETES_SERVICE_PORT"),
            (Some("10.0.0.1"), Some("x"), "KUBERNETES_SERVICE_PORT"),
        ] {
            assert!(
                matches!(of(host, port), Err(ConfigError::NotInCluster { variable }) if variable == name),
                "{host:?} {port:?}"
            );
        }
    }
}
