//! Which form the client wants its answer in, and which its body is in.
//!
//! JSON is spoken, in its plain, Table and metadata-only forms; YAML is read. Protobuf and CBOR are refused
//! with the codes a server has for formats it does not know.

use http::{HeaderMap, header};

use crate::wire::status::Status;

/// How much of each object a Table carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Include {
    Nothing,
    Metadata,
    Object,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Format {
    /// The objects themselves.
    Object,
    /// Rows and columns, for people.
    Table(Include),
    /// `PartialObjectMetadata`.
    Metadata,
    /// `PartialObjectMetadataList`.
    MetadataList,
}

/// One media range of an `Accept` header.
struct Range<'a> {
    media: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

/// The media ranges, the preferred one first: by quality, then those without wildcards, then as they were sent.
fn ranges(headers: &HeaderMap) -> Vec<Range<'_>> {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges: Vec<Range<'_>> = values
        .flat_map(|value| value.split(','))
        .map(|range| {
            let mut parts = range.split(';').map(str::trim);
            Range {
                media: parts.next().unwrap_or_default(),
                parameters: parts.filter_map(|part| part.split_once('=')).collect(),
            }
        })
        .filter(|range| !range.media.is_empty())
        .collect();
    ranges.sort_by(|left, right| {
        right.quality().total_cmp(&left.quality()).then(left.wildcards().cmp(&right.wildcards()))
    });
    ranges
}

impl Range<'_> {
    fn is_json(&self) -> bool {
        matches!(self.media, "application/json" | "application/*" | "*/*")
    }

    fn wildcards(&self) -> usize {
        self.media.matches('*').count()
    }

    /// From 0 to 1. What is not a number counts as 1.
    fn quality(&self) -> f64 {
        self.parameter("q").and_then(|quality| quality.parse().ok()).unwrap_or(1.0)
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }
}

fn not_acceptable() -> Status {
    Status::not_acceptable("only the following media types are accepted: application/json")
}

/// Whether the router of a real server finds a media type of its own in the `Accept` header. It knows no `application/*`.
pub(crate) fn check_routed(headers: &HeaderMap) -> Result<(), Status> {
    const KNOWN: [&str; 4] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "*/*"];
    let ranges = ranges(headers);
    if ranges.is_empty() || ranges.iter().any(|range| KNOWN.contains(&range.media)) {
        return Ok(());
    }
    let message = format!("406: Not Acceptable\n\nAvailable representations: {}", KNOWN[..3].join(", "));
    Err(Status::not_acceptable(message).with_empty_details())
}

/// The first form of the client's choice that is spoken here.
pub(crate) fn accepted(headers: &HeaderMap, include: Include) -> Result<Format, Status> {
    let ranges = ranges(headers);
    if ranges.is_empty() {
        return Ok(Format::Object);
    }
    ranges.iter().filter(|range| range.is_json()).find_map(|range| form(range, include)).ok_or_else(not_acceptable)
}

fn form(range: &Range<'_>, include: Include) -> Option<Format> {
    let Some(form) = range.parameter("as") else { return Some(Format::Object) };
    if range.parameter("g") != Some("meta.k8s.io") || range.parameter("v") != Some("v1") {
        return None;
    }
    match form {
        "Table" => Some(Format::Table(include)),
        "PartialObjectMetadata" => Some(Format::Metadata),
        "PartialObjectMetadataList" => Some(Format::MetadataList),
        _ => None,
    }
}

/// Whether plain JSON will do, for answers that have one form only.
pub(crate) fn accepts_json(headers: &HeaderMap) -> Result<(), Status> {
    let ranges = ranges(headers);
    if ranges.is_empty() || ranges.iter().any(|range| range.is_json() && range.parameter("as").is_none()) {
        return Ok(());
    }
    Err(not_acceptable())
}

/// Whether the client prefers discovery in its aggregated form.
pub(crate) fn accepts_aggregated(headers: &HeaderMap) -> bool {
    let first = ranges(headers)
        .into_iter()
        .find(|range| range.is_json() && (range.parameter("as").is_none() || range.parameter("v") == Some("v2")));
    first.is_some_and(|range| {
        range.parameter("as") == Some("APIGroupDiscoveryList") && range.parameter("g") == Some("apidiscovery.k8s.io")
    })
}

/// The media type of the body, without parameters.
pub(crate) fn body_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, value.parse().unwrap());
        headers
    }

    #[test]
    fn the_first_form_that_is_spoken_wins() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        for (value, expected) in [
            ("application/json", Some(Format::Object)),
            ("*/*", Some(Format::Object)),
            (table, Some(Format::Table(Include::Metadata))),
            ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", Some(Format::Object)),
            ("application/vnd.kubernetes.protobuf, application/json", Some(Format::Object)),
            ("application/vnd.kubernetes.protobuf", None),
            ("application/json;as=Table;v=v2;g=meta.k8s.io", None),
            ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", Some(Format::Metadata)),
            ("text/html", None),
            (
                "application/json;q=0.5,application/json;as=Table;v=v1;g=meta.k8s.io;q=0.9",
                Some(Format::Table(Include::Metadata)),
            ),
            ("application/json;as=Table;v=v1;g=meta.k8s.io;q=0.1,*/*;q=0.8", Some(Format::Object)),
            (
                "application/json;q=0.5,application/json;as=Table;v=v1;g=meta.k8s.io",
                Some(Format::Table(Include::Metadata)),
            ),
        ] {
            let form = accepted(&accept(value), Include::Metadata);
            assert_eq!(form.as_ref().ok(), expected.as_ref(), "{value}");
            assert!(form.err().is_none_or(|status| status.code() == 406));
        }
        assert_eq!(accepted(&HeaderMap::new(), Include::Object), Ok(Format::Object));
    }

    #[test]
    fn aggregated_discovery_is_for_clients_that_prefer_it() {
        let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        assert!(accepts_aggregated(&accept(v2)));
        assert!(accepts_aggregated(&accept(&format!("{v2},application/json"))));
        assert!(!accepts_aggregated(&accept("application/json")));
        assert!(!accepts_aggregated(&accept(&format!("application/json,{v2}"))));
    }
}
