//! Formats of strings.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::{Timestamp, civil::Date};

/// Whether a text has a format. A format that nobody knows fits every text, as on a real API server.
pub(super) fn fits(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => is_date_time(text),
        "date" => text.len() == 10 && text.parse::<Date>().is_ok(),
        "byte" => BASE64_STANDARD.decode(text).is_ok(),
        "uuid" => is_uuid(text, None),
        "uuid3" => is_uuid(text, Some('3')),
        "uuid4" => is_uuid(text, Some('4')),
        "uuid5" => is_uuid(text, Some('5')),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => is_mac(text),
        "hostname" => is_hostname(text),
        "email" => text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && is_hostname(host)),
        "uri" => text.parse::<http::Uri>().is_ok_and(|uri| uri.scheme().is_some() || text.starts_with('/')),
        "bsonobjectid" => text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "hexcolor" => text
            .strip_prefix('#')
            .is_some_and(|digits| matches!(digits.len(), 3 | 6) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())),
        "duration" => is_duration(text),
        _ => true,
    }
}

/// RFC 3339: a date, a `T`, a time with seconds, a zone.
fn is_date_time(text: &str) -> bool {
    let shape = text.as_bytes();
    let zone =
        text.get(19..).unwrap_or_default().trim_start_matches(|letter: char| letter == '.' || letter.is_ascii_digit());
    let zoned = matches!(zone.as_bytes(), [b'Z' | b'z'] | [b'+' | b'-', _, _, b':', _, _]);
    shape.get(10).is_some_and(|letter| matches!(letter, b'T' | b't'))
        && zoned
        && text.to_uppercase().parse::<Timestamp>().is_ok()
}

fn is_uuid(text: &str, version: Option<char>) -> bool {
    let digits: String = text.chars().filter(|letter| *letter != '-').collect();
    digits.len() == 32
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        && version.is_none_or(|version| digits.chars().nth(12) == Some(version))
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

fn is_mac(text: &str) -> bool {
    let pairs = |separator| {
        let parts: Vec<&str> = text.split(separator).collect();
        matches!(parts.len(), 6 | 8 | 20)
            && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    pairs(':') || pairs('-')
}

fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        let edge = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
        label.len() <= 63
            && edge(label.chars().next())
            && edge(label.chars().last())
            && label.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
    };
    text.len() <= 255 && text.trim_end_matches('.').split('.').all(label)
}

/// Go's durations, `1h30m`, and numbers with a unit in words, `3 days`.
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 26] = [
        "ns", "us", "µs", "ms", "s", "m", "h", "d", "w", "nano", "nanos", "micro", "micros", "milli", "millis", "sec",
        "secs", "second", "seconds", "minute", "minutes", "hour", "hours", "day", "days", "week",
    ];
    let mut rest = text.trim_start_matches(['-', '+']);
    if rest == "0" {
        return true;
    }
    let mut parts = 0;
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
        let number = &rest[..rest.len() - unit.len()];
        let word = unit.trim_start();
        let after = word.trim_start_matches(|letter: char| letter.is_alphabetic());
        let name = &word[..word.len() - after.len()];
        if number.parse::<f64>().is_err() || !(UNITS.contains(&name) || name == "weeks") {
            return false;
        }
        parts += 1;
        rest = after.trim_start();
    }
    parts > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_a_format_or_has_it_not() {
        for (format, right, wrong) in [
            ("date-time", "2026-01-02T03:04:05Z", "yesterday"),
            ("date-time", "2026-01-02T03:04:05.123+01:00", "2026-01-02 03:04:05Z"),
            ("date", "2026-01-02", "2026-13-02"),
            ("byte", "aGk=", "!"),
            ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567"),
            ("uuid4", "123e4567-e89b-42d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),
            ("ipv4", "10.0.0.1", "10.0.0.256"),
            ("ipv6", "::1", "10.0.0.1"),
            ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
            ("mac", "01:23:45:67:89:ab", "01:23:45:67:89"),
            ("hostname", "a.example.com", "-a"),
            ("email", "me@example.com", "me"),
            ("uri", "https://example.com/a", "a b"),
            ("duration", "1h30m", "soon"),
            ("duration", "3 days", "3"),
            ("hexcolor", "#ff0000", "red"),
        ] {
            assert!(fits(format, right), "{format} {right}");
            assert!(!fits(format, wrong), "{format} {wrong}");
        }
        assert!(fits("of-nobody", "anything"));
    }
}
