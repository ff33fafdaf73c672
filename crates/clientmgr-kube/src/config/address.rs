//! URLs of servers and proxies. Refuses those that the HTTP client would misread, or show in a trace. Pure.

use http::Uri;
use http::uri::Authority;

use crate::error::ConfigError;

/// The longest name of a host, and the longest part between its dots.
const HOST_LIMIT: usize = 253;
const LABEL_LIMIT: usize = 63;

/// Parses the URL of a server. `tls_name` is the name to expect in its certificate, if not its host.
pub(crate) fn server(text: &str, tls_name: Option<&str>) -> Result<Uri, ConfigError> {
    // Parsing drops a fragment.
    if text.contains('#') {
        return Err(ConfigError::ServerQuery);
    }
    let server = text.parse().map_err(|_| ConfigError::MalformedServer)?;
    check_server(&server, tls_name)?;
    Ok(server)
}

fn check_server(server: &Uri, tls_name: Option<&str>) -> Result<(), ConfigError> {
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
    match tls_name {
        Some(name) if !is_tls_name(name) => Err(ConfigError::TlsServerName),
        None if scheme == "https" && !is_tls_name(authority.host()) => Err(ConfigError::ServerHost),
        _ if !is_host(authority.host()) => Err(ConfigError::ServerHost),
        _ => Ok(()),
    }
}

/// Parses the URL of a proxy.
pub(crate) fn proxy(text: &str) -> Result<Uri, ConfigError> {
    let proxy: Uri = text.parse().map_err(|_| ConfigError::MalformedProxy)?;
    let needs = |feature, is_enabled| if is_enabled { Ok(()) } else { Err(ConfigError::ProxyFeature { feature }) };
    let scheme = proxy.scheme_str().unwrap_or_default();
    match scheme {
        "socks5" => needs("socks5", cfg!(feature = "socks5")),
        "http" | "https" => needs("http-proxy", cfg!(feature = "http-proxy")),
        _ => Err(ConfigError::UnsupportedProxy { scheme: scheme.to_owned() }),
    }?;
    match proxy.authority() {
        Some(authority) if has_host_and_port(authority) => Ok(proxy),
        _ => Err(ConfigError::MalformedProxy),
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

/// Whether `name` can be expected in a certificate.
#[cfg(feature = "rustls-tls")]
fn is_tls_name(name: &str) -> bool {
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    rustls::pki_types::ServerName::try_from(name).is_ok()
}

#[cfg(not(feature = "rustls-tls"))]
fn is_tls_name(_name: &str) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::proxy;
    use crate::error::ConfigError as Problem;

    fn server(url: &str) -> Result<Uri, Problem> {
        super::server(url, None)
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
        for port in ["", "0", "00", "65536", "99999999999", "+443", "-1", "x", "1x"] {
            for host in ["127.0.0.1", "[::1]", "me@127.0.0.1"] {
                let url = format!("https://{host}:{port}");
                assert!(matches!(server(&url), Err(Problem::MalformedServer)), "{url}: {:?}", server(&url));
                assert!(is_malformed_proxy(&format!("http://{host}:{port}")), "{host}:{port}");
            }
        }
    }

    #[test]
    fn a_proxy_is_a_url_of_a_known_scheme() {
        assert!(matches!(proxy("gopher://proxy:70"), Err(Problem::UnsupportedProxy { .. })));
        assert!(matches!(proxy("proxy:8080"), Err(Problem::UnsupportedProxy { .. })));
        assert!(is_malformed_proxy("http://a b"));
        assert!(proxy("http://me:secret@proxy.example.com:8080").is_ok() || !cfg!(feature = "http-proxy"));
    }

    /// Without the feature, that is what is wrong with every proxy.
    fn is_malformed_proxy(url: &str) -> bool {
        match proxy(url) {
            Err(Problem::ProxyFeature { .. }) => !cfg!(feature = "http-proxy"),
            refused => matches!(refused, Err(Problem::MalformedProxy)),
        }
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
            assert!(super::server(url, Some("east.example.com")).is_ok(), "{url} is not looked for in the certificate");
            assert!(matches!(super::server(url, Some("not a name")), Err(Problem::TlsServerName)), "{url}");
        }
    }
}
