//! What a request asks for, read off its method, path and query alone.
//!
//! Pure, and it knows no kinds: a request for something that is not served still has a verb, a resource and a
//! name, which is what authorization and fault rules go by.

use http::Method;

/// What is to be done, in the words of Kubernetes' authorization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Verb {
    /// One object.
    Get,
    /// The objects of a collection.
    List,
    /// Changes of a collection.
    Watch,
    /// A new object.
    Create,
    /// A whole object replaced.
    Update,
    /// A part of an object changed.
    Patch,
    /// One object removed.
    Delete,
    /// The objects of a collection removed.
    DeleteCollection,
    /// A method no API verb belongs to (OPTIONS, TRACE, …).
    Other,
}

impl Verb {
    /// The verb as RBAC spells it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Other => "",
        }
    }
}

/// A request understood as far as its first line goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestInfo {
    pub(crate) verb: Verb,
    /// `false` for `/version`, discovery, health: everything that is not under a group version.
    pub(crate) is_resource: bool,
    /// Decoded.
    pub(crate) path: String,
    /// Empty for the core group.
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) resource: String,
    pub(crate) subresource: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    /// The path goes on behind the subresource, or uses the old `/watch/` and `/proxy/` prefixes.
    pub(crate) extra: Vec<String>,
}

impl RequestInfo {
    /// Reads a request line. Never fails: what is not a resource request is a non-resource request.
    pub(crate) fn parse(method: &Method, path: &str, query: Option<&str>) -> Self {
        let decoded = percent_decode(path, false);
        let read_only = *method == Method::GET || *method == Method::HEAD;
        let verb = match method.as_str() {
            "GET" | "HEAD" => Verb::Get,
            "POST" => Verb::Create,
            "PUT" => Verb::Update,
            "PATCH" => Verb::Patch,
            "DELETE" => Verb::Delete,
            _ => Verb::Other,
        };
        let mut info = Self {
            verb,
            is_resource: false,
            path: decoded,
            group: String::new(),
            version: String::new(),
            resource: String::new(),
            subresource: None,
            namespace: None,
            name: None,
            extra: Vec::new(),
        };
        // Segments are split before they are decoded: an encoded slash belongs to a name.
        let segments: Vec<String> =
            path.trim_matches('/').split('/').map(|segment| percent_decode(segment, false)).collect();
        let mut rest = segments.into_iter();
        match rest.next().as_deref() {
            Some("api") => {}
            Some("apis") => match rest.next() {
                Some(group) => info.group = group,
                None => return info,
            },
            _ => return info,
        }
        let Some(version) = rest.next() else { return info };
        info.version = version;
        let mut parts: Vec<String> = rest.collect();
        if parts.first().is_none_or(String::is_empty) {
            return info;
        }
        info.is_resource = true;
        if matches!(parts[0].as_str(), "watch" | "proxy") && parts.len() > 1 {
            info.extra.push(parts.remove(0));
        }
        if parts[0] == "namespaces" && parts.len() > 1 {
            let of_the_namespace_itself =
                parts.get(2).is_none_or(|part| matches!(part.as_str(), "status" | "finalize"));
            info.namespace = Some(parts[1].clone());
            if !of_the_namespace_itself {
                parts.drain(..2);
            }
        }
        let mut parts = parts.into_iter();
        info.resource = parts.next().unwrap_or_default();
        info.name = parts.next().filter(|name| !name.is_empty());
        info.subresource = parts.next().filter(|part| !part.is_empty());
        info.extra.extend(parts);

        if info.name.is_none() {
            if read_only {
                let query = query.unwrap_or_default();
                info.verb = if wants_watch(query) { Verb::Watch } else { Verb::List };
                info.name = single_name(query);
            } else if verb == Verb::Delete {
                info.verb = Verb::DeleteCollection;
            }
        }
        info
    }
}

/// `resource`, or `resource/subresource`.
pub(crate) fn full_resource(info: &RequestInfo) -> String {
    match &info.subresource {
        Some(subresource) => format!("{}/{subresource}", info.resource),
        None => info.resource.clone(),
    }
}

fn wants_watch(query: &str) -> bool {
    query_pairs(query).any(|(key, value)| key == "watch" && truthy(&value))
}

/// `true` as Kubernetes reads booleans in queries: everything but an explicit no.
pub(crate) fn truthy(value: &str) -> bool {
    !matches!(value.to_ascii_lowercase().as_str(), "false" | "0")
}

/// The one name a collection request is about, when its field selector says so.
fn single_name(query: &str) -> Option<String> {
    let (_, selector) = query_pairs(query).find(|(key, _)| key == "fieldSelector")?;
    selector.split(',').find_map(|term| {
        let name = term.strip_prefix("metadata.name=")?.trim_start_matches('=');
        (!name.is_empty()).then(|| name.to_owned())
    })
}

/// The decoded pairs of a query string, in order. What is malformed is passed over, as Go does.
pub(crate) fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    let is_whole = |pair: &&str| !pair.is_empty() && !pair.contains(';') && is_well_escaped(pair);
    query.split('&').filter(is_whole).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent_decode(key, true), percent_decode(value, true))
    })
}

/// Whether each `%` starts an escape.
pub(crate) fn is_well_escaped(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// Decodes `%XX` (and `+`, in queries). What is malformed stays as it is; what is not UTF-8 is replaced.
pub(crate) fn percent_decode(text: &str, plus_is_space: bool) -> String {
    if !text.contains(['%', '+']) {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = (byte == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(value) = hex {
            decoded.push(value);
            at += 3;
        } else {
            decoded.push(if plus_is_space && byte == b'+' { b' ' } else { byte });
            at += 1;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(method: &str, target: &str) -> RequestInfo {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        RequestInfo::parse(&Method::from_bytes(method.as_bytes()).unwrap(), path, query)
    }

    fn short(info: &RequestInfo) -> String {
        let dash = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
        format!(
            "{} {}/{} {} ns={} name={} sub={}",
            info.verb.as_str(),
            info.group,
            info.version,
            info.resource,
            dash(&info.namespace),
            dash(&info.name),
            dash(&info.subresource)
        )
    }

    #[test]
    fn resource_paths_are_understood() {
        for (method, target, expected) in [
            ("GET", "/api/v1/configmaps", "list /v1 configmaps ns=- name=- sub=-"),
            ("GET", "/api/v1/namespaces/a/configmaps/b", "get /v1 configmaps ns=a name=b sub=-"),
            ("GET", "/api/v1/namespaces/a/configmaps?watch=1", "watch /v1 configmaps ns=a name=- sub=-"),
            ("GET", "/api/v1/namespaces/a/configmaps?watch=false", "list /v1 configmaps ns=a name=- sub=-"),
            (
                "GET",
                "/api/v1/namespaces/a/configmaps?watch=true&fieldSelector=metadata.name%3Dx",
                "watch /v1 configmaps ns=a name=x sub=-",
            ),
            ("DELETE", "/api/v1/namespaces/a", "delete /v1 namespaces ns=a name=a sub=-"),
            ("PUT", "/api/v1/namespaces/a/finalize", "update /v1 namespaces ns=a name=a sub=finalize"),
            ("PATCH", "/api/v1/namespaces/a/status", "patch /v1 namespaces ns=a name=a sub=status"),
            (
                "DELETE",
                "/apis/apps/v1/namespaces/a/deployments",
                "deletecollection apps/v1 deployments ns=a name=- sub=-",
            ),
            (
                "PUT",
                "/apis/example.com/v1/namespaces/a/foos/b/status",
                "update example.com/v1 foos ns=a name=b sub=status",
            ),
            ("POST", "/apis/example.com/v1/foos", "create example.com/v1 foos ns=- name=- sub=-"),
            ("GET", "/api/v1/namespaces/a/secrets/a%2Fb", "get /v1 secrets ns=a name=a/b sub=-"),
        ] {
            let info = info(method, target);
            assert!(info.is_resource, "{target}");
            assert_eq!(short(&info), expected, "{method} {target}");
        }
    }

    #[test]
    fn other_paths_are_non_resource_requests() {
        for target in ["/", "/version", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1/", "/readyz", "//"] {
            assert!(!info("GET", target).is_resource, "{target}");
        }
    }

    #[test]
    fn a_malformed_pair_of_a_query_is_passed_over() {
        let pairs = |query| query_pairs(query).map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
        assert_eq!(pairs("a=1&b=%zz&c;d=2&%=3&e=%4&f=%41"), ["a=1", "f=A"]);
        assert!(is_well_escaped("/a%2Fb%41") && is_well_escaped(""));
        assert!(["%", "%4", "%zz", "a%%41", "%é"].iter().all(|text| !is_well_escaped(text)));
    }

    #[test]
    fn malformed_escapes_stay_as_they_are() {
        assert_eq!(percent_decode("a%2", false), "a%2");
        assert_eq!(percent_decode("%zz%41+", false), "%zzA+");
        assert_eq!(percent_decode("%+1+", true), "% 1 ");
        assert_eq!(percent_decode("%ff", true), "\u{fffd}");
        assert_eq!(percent_decode("%é", true), "%é");
    }
}
