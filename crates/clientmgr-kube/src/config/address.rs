//! Where a server and its proxy are: URLs that the HTTP client would take and get wrong, or show to whoever traces it,
//! are refused. Decides; asks nobody.

use http::Uri;
use http::uri::Authority;
use kube::Config;

use crate::error::ConfigError;

/// The longest name of a host, and the longest part between its dots.
const HOST_LIMIT: usize = 253;
const LABEL_LIMIT: usize = 63;

/// What of a server's URL is lost when it is parsed.
pub(crate) fn check_text(server: &str) -> Result<(), ConfigError> {
    if server.contains('#') { Err(ConfigError::ServerQuery) } else { Ok(()) }
}

/// Whether the server and the proxy of `config` are such as can be spoken to.
pub(crate) fn check(config: &Config) -> Result<(), ConfigError> {
    let server = &config.cluster_url;
    let Some((scheme, authority)) = server.scheme_str().zip(server.authority()) else {
        return Err(ConfigError::MalformedServer);
    };
    if !matches!(scheme, "https" | "http") {
        return Err(ConfigError::UnsupportedScheme { scheme: scheme.to_owned() });
    }
    if !has_host_and_port(authority) {
        return Err(ConfigError::MalformedServer);
    }
    // It would be part of every trace of a request, and API servers know no passwords.
    if authority.as_str().contains('@') {
        return Err(ConfigError::ServerCredentials);
    }
    if server.query().is_some() {
        return Err(ConfigError::ServerQuery);
    }
    if !is_host(authority.host()) || (scheme == "https" && config.tls_server_name.is_none() && !has_tls_name(server)) {
        return Err(ConfigError::ServerHost);
    }
    match config.proxy_url.as_ref().and_then(Uri::authority) {
        Some(proxy) if !has_host_and_port(proxy) => Err(ConfigError::MalformedProxy),
        _ => Ok(()),
    }
}

/// Whether there is a host, and after it nothing, or a port. The HTTP client takes a port that is none for the usual one
/// of the scheme.
fn has_host_and_port(authority: &Authority) -> bool {
    let text = authority.as_str();
    let after_user = text.rsplit_once('@').map_or(text, |(_, rest)| rest);
    let host = authority.host();
    !host.is_empty() && after_user.strip_prefix(host).is_some_and(|rest| rest.is_empty() || is_port(rest))
}

fn is_port(text: &str) -> bool {
    let digits = text.strip_prefix(':').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse::<u16>().ok()).is_some_and(|port| port != 0)
}

/// Whether a host could be looked up at all.
fn is_host(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.starts_with('[')
        || (host.len() <= HOST_LIMIT && host.split('.').all(|label| (1..=LABEL_LIMIT).contains(&label.len())))
}

/// Whether the host can be expected in a certificate.
#[cfg(feature = "rustls-tls")]
fn has_tls_name(server: &Uri) -> bool {
    let host = server.host().unwrap_or_default();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    rustls::pki_types::ServerName::try_from(host).is_ok()
}

#[cfg(not(feature = "rustls-tls"))]
fn has_tls_name(_server: &Uri) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use http::Uri;
    use kube::Config;

    use super::{check, check_text};
    use crate::error::ConfigError as Problem;

    fn server(url: &str) -> Result<(), Problem> {
        check_text(url)?;
        check(&Config::new(url.parse().map_err(|_| Problem::MalformedServer)?))
    }

    #[test]
    fn a_server_with_a_scheme_and_a_host_is_taken() {
        let table = [
            "https://east.example.com",
            "HTTPS://east.example.com",
            "http://localhost",
            "https://east.example.com.",
            "https://under_score:1",
            "https://127.0.0.1:65535",
            "https://[::1]",
            "https://[::1]:6443",
            "https://proxy.example.com/k8s/clusters/east/",
        ];
        for url in table {
            assert!(server(url).is_ok(), "{url}: {:?}", server(url));
        }
    }

    #[test]
    fn a_port_that_is_none_is_not_taken_for_the_usual_one() {
        let mut config = Config::new(Uri::from_static("https://east.example.com"));
        for port in ["", "0", "00", "65536", "99999999999", "+443", "-1", "x", "1x"] {
            for host in ["127.0.0.1", "[::1]", "me@127.0.0.1"] {
                let url = format!("https://{host}:{port}");
                assert!(matches!(server(&url), Err(Problem::MalformedServer)), "{url}: {:?}", server(&url));
                let Ok(proxy) = format!("http://{host}:{port}").parse() else { continue };
                config.proxy_url = Some(proxy);
                assert!(matches!(check(&config), Err(Problem::MalformedProxy)), "{:?}", config.proxy_url);
            }
        }
        config.proxy_url = Some(Uri::from_static("http://me:secret@proxy.example.com:8080"));
        assert!(check(&config).is_ok(), "a proxy may have a password");
    }

    #[test]
    fn a_server_without_a_host_is_not_blamed_for_its_scheme() {
        for url in ["https://:6443", "https://me@:6443", "https://me@"] {
            assert!(matches!(server(url), Err(Problem::MalformedServer)), "{url}: {:?}", server(url));
        }
    }

    #[test]
    fn a_password_in_the_server_is_refused() {
        for url in ["https://me:secret@east.example.com", "http://me@127.0.0.1:80/path", "https://@[::1]"] {
            assert!(matches!(server(url), Err(Problem::ServerCredentials)), "{url}: {:?}", server(url));
        }
    }

    #[test]
    fn what_would_be_dropped_from_the_server_is_refused() {
        for url in ["https://east?a=b", "https://east/?", "https://east/path?a", "https://east/#top", "https://east#"] {
            assert!(matches!(server(url), Err(Problem::ServerQuery)), "{url}: {:?}", server(url));
        }
    }

    #[test]
    fn a_host_that_cannot_be_one_is_refused() {
        let long = [format!("https://{}", "x".repeat(64)), format!("https://{}x", "x.".repeat(127))];
        for url in ["https://a..b:1", "http://a..b", "https://.a", "https://.."]
            .into_iter()
            .chain(long.each_ref().map(String::as_str))
        {
            assert!(matches!(server(url), Err(Problem::ServerHost)), "{url}: {:?}", server(url));
        }
        #[cfg(feature = "rustls-tls")]
        for url in ["https://-:1", "https://1.1.1.1.1", "https://[fe80::1%25lo]:1"] {
            assert!(matches!(server(url), Err(Problem::ServerHost)), "{url}: {:?}", server(url));
            let mut config = Config::new(url.parse().unwrap());
            config.tls_server_name = Some("east.example.com".into());
            assert!(check(&config).is_ok(), "{url} is not what is looked for in the certificate");
        }
    }
}
