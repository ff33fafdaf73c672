//! Proxies of the environment, as kubectl takes them: by the scheme of the server, not for loopback addresses, and not
//! for what `NO_PROXY` names. The environment is an argument, so that tests need not change it.

use std::net::IpAddr;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use super::address;
use crate::error::ConfigError;

/// A variable and its value, unless that is empty.
type Variable = Option<(&'static str, String)>;

/// The proxies that the environment names.
#[derive(Clone, Default)]
#[expect(clippy::struct_field_names, reason = "they are the variables' names")]
pub(crate) struct Environment {
    https_proxy: Variable,
    http_proxy: Variable,
    no_proxy: Variable,
}

impl Environment {
    pub(crate) fn of_process() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    pub(crate) fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| {
                let value = variable(name).filter(|value| !value.is_empty())?;
                Some((name, value))
            })
        };
        Self {
            https_proxy: first(["HTTPS_PROXY", "https_proxy"]),
            http_proxy: first(["HTTP_PROXY", "http_proxy"]),
            no_proxy: first(["NO_PROXY", "no_proxy"]),
        }
    }

    /// Returns the proxy for requests to `server`.
    pub(crate) fn proxy_for(&self, server: &Uri) -> Result<Option<Uri>, ConfigError> {
        let Some((variable, text)) = self.variable_for(server) else { return Ok(None) };
        let text = if text.contains("://") { text } else { &format!("http://{text}") };
        let unusable = |error| ConfigError::ProxyVariable { variable, source: Box::new(error) };
        address::proxy(text).map(Some).map_err(unusable)
    }

    /// Returns the variable that names the proxy for requests to `server`, and its value.
    fn variable_for(&self, server: &Uri) -> Option<(&'static str, &str)> {
        let proxy = if server.scheme_str() == Some("http") { &self.http_proxy } else { &self.https_proxy };
        let (variable, text) = proxy.as_ref()?;
        (!is_loopback(server) && self.is_proxied(server)).then_some((*variable, text.as_str()))
    }

    /// Whether `NO_PROXY` leaves `server` to the proxy.
    fn is_proxied(&self, server: &Uri) -> bool {
        let no_proxy = self.no_proxy.as_ref().map(|(_, value)| value.as_str()).unwrap_or_default();
        // Which proxy it is makes no difference here: the matcher says whether there is one.
        Matcher::builder().all("http://proxy").no(no_proxy).build().intercept(server).is_some()
    }
}

fn is_loopback(server: &Uri) -> bool {
    let host = server.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    host == "localhost" || address.is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::Environment;
    use crate::error::ConfigError;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::new(|name| variables.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned()))
    }

    fn proxy(variables: &[(&str, &str)], server: &'static str) -> Option<String> {
        environment(variables).variable_for(&Uri::from_static(server)).map(|(_, proxy)| proxy.to_owned())
    }

    #[test]
    fn the_scheme_of_the_server_chooses_the_proxy() {
        let both = [("HTTPS_PROXY", "http://a:1"), ("http_proxy", "b:2")];
        assert_eq!(proxy(&both, "https://east.example.com").as_deref(), Some("http://a:1"));
        assert_eq!(proxy(&both, "http://east.example.com").as_deref(), Some("b:2"));
        assert_eq!(proxy(&both[1..], "https://east.example.com"), None);
        assert_eq!(proxy(&[("HTTPS_PROXY", ""), ("https_proxy", "a")], "https://east").as_deref(), Some("a"));
    }

    #[test]
    fn loopback_addresses_need_no_proxy() {
        for server in ["https://localhost:6443", "https://127.0.0.1:6443", "https://127.8.9.1", "https://[::1]:6443"] {
            assert_eq!(proxy(&[("HTTPS_PROXY", "http://a:1")], server), None, "{server}");
        }
    }

    #[test]
    fn no_proxy_is_about_the_server_and_not_the_proxy() {
        let with = |no_proxy| [("HTTPS_PROXY", "http://proxy.corp:1"), ("NO_PROXY", no_proxy)];
        for no_proxy in ["example.com", ".example.com", "x, east.example.com,", "*"] {
            assert_eq!(proxy(&with(no_proxy), "https://east.example.com"), None, "{no_proxy}");
        }
        assert_eq!(proxy(&with("10.0.0.0/8"), "https://10.1.2.3:6443"), None);
        for no_proxy in ["proxy.corp", "", ",", "west.example.com", "10.0.0.0/8"] {
            assert!(proxy(&with(no_proxy), "https://east.example.com").is_some(), "{no_proxy}");
        }
    }

    #[test]
    fn what_is_no_host_in_no_proxy_concerns_no_server() {
        let malformed =
            ["[", "[::", "::1/129", "10.0.0.0/99", "/", "://", "*.*", "%zz", "\u{1}", " , ;", "a b", ".", "é"];
        for no_proxy in malformed {
            let variables = [("HTTPS_PROXY", "http://proxy.corp:1"), ("NO_PROXY", no_proxy)];
            for server in ["https://east.example.com", "https://10.1.2.3:6443", "https://[fd00::1]:6443"] {
                assert!(proxy(&variables, server).is_some(), "{no_proxy:?} {server}");
            }
            // And what is right beside it still counts.
            let beside = format!("{no_proxy},east.example.com");
            let variables = [("HTTPS_PROXY", "http://proxy.corp:1"), ("NO_PROXY", beside.as_str())];
            assert_eq!(proxy(&variables, "https://east.example.com"), None, "{beside:?}");
        }
    }

    #[test]
    fn a_proxy_without_a_scheme_speaks_http() {
        let proxy = environment(&[("HTTPS_PROXY", "a:1")]).proxy_for(&Uri::from_static("https://east"));
        match proxy {
            Ok(proxy) => assert_eq!(proxy, Some(Uri::from_static("http://a:1"))),
            Err(error) => assert!(is_unusable(&error, "HTTPS_PROXY") && !cfg!(feature = "http-proxy"), "{error:?}"),
        }
    }

    #[test]
    fn a_proxy_that_is_no_url_is_an_error_that_names_the_variable() {
        for value in ["http://a b", "http://a:0", "://"] {
            let refused = environment(&[("https_proxy", value)]).proxy_for(&Uri::from_static("https://east"));
            assert!(is_unusable(&refused.unwrap_err(), "https_proxy"), "{value}");
        }
    }

    fn is_unusable(error: &ConfigError, name: &str) -> bool {
        matches!(error, ConfigError::ProxyVariable { variable, .. } if *variable == name)
    }
}
