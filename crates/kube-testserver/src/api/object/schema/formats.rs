//! Formats of strings.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::LazyLock,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::civil::Date;
use regex::Regex;

use crate::wire::syntax::{is_subdomain, label_problems};

/// A pattern that is compiled when it is first used.
macro_rules! pattern {
    ($pattern:expr) => {{
        static PATTERN: LazyLock<Regex> = LazyLock::new(|| Regex::new($pattern).expect("the pattern is valid"));
        &*PATTERN
    }};
}

/// Whether a text has a format. An unknown format fits every text.
pub(super) fn fits(format: &str, text: &str) -> bool {
    match format {
        "k8s-short-name" => label_problems(text).is_empty(),
        "k8s-long-name" => text.len() <= 253 && is_subdomain(text),
        _ => fits_normalized(&format.replace('-', ""), text),
    }
}

fn fits_normalized(format: &str, text: &str) -> bool {
    match format {
        "datetime" => is_date_time(text),
        "date" => is_date(text),
        "byte" => !text.is_empty() && BASE64_STANDARD.decode(text).is_ok(),
        "uuid" => pattern!("(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$").is_match(text),
        "uuid3" => pattern!("(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$").is_match(text),
        "uuid4" => {
            pattern!("(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$").is_match(text)
        }
        "uuid5" => {
            pattern!("(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$").is_match(text)
        }
        "ipv4" => text.contains('.') && without_leading_zeros(text).parse::<IpAddr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => is_mac(text),
        "hostname" => is_hostname(text),
        "email" => pattern!(r"^([^<>@\s]+@[^<>@\s]+|[^<>]*<[^<>@\s]+@[^<>@\s]+>)$").is_match(text),
        "uri" => is_uri(text),
        "bsonobjectid" => pattern!("^[0-9a-fA-F]{24}$").is_match(text),
        "hexcolor" => pattern!("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$").is_match(text),
        "rgbcolor" => {
            let part = |part: &str| part.trim().parse::<u8>().is_ok_and(|number| number.to_string() == part.trim());
            let parts = text.strip_prefix("rgb(").and_then(|text| text.strip_suffix(')'));
            parts.is_some_and(|parts| parts.split(',').count() == 3 && parts.split(',').all(part))
        }
        "ssn" => text.len() == 11 && pattern!(r"^\d{3}[- ]?\d{2}[- ]?\d{4}$").is_match(text),
        "isbn" => is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10(text),
        "isbn13" => is_isbn13(text),
        "creditcard" => is_credit_card(text),
        "duration" => is_duration(text),
        _ => true,
    }
}

/// RFC 3339: a date, a `T`, a time with seconds, a zone.
fn is_date_time(text: &str) -> bool {
    let text = text.to_lowercase();
    let Some((date, time)) = text.split_once('t') else { return false };
    let time = pattern!(r"^([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$").captures(time);
    is_date(date) && time.is_some_and(|time| &time[1] <= "23" && &time[2] <= "59" && &time[3] <= "59")
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<Date>().is_ok()
}

/// An address as Go read it for long: `01.2.3.4` is `1.2.3.4`.
fn without_leading_zeros(address: &str) -> String {
    let part = |part: &str| {
        let digits = part.trim_start_matches('0');
        if digits.is_empty() && !part.is_empty() { "0".to_owned() } else { digits.to_owned() }
    };
    if address.contains(':') { address.to_owned() } else { address.split('.').map(part).collect::<Vec<_>>().join(".") }
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = match without_leading_zeros(address).parse::<IpAddr>() {
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

/// Labels that may hold letters and symbols of any script, the last of them letters only.
fn is_hostname(text: &str) -> bool {
    let form = pattern!(concat!(
        r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)",
        r"|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9\-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$",
    ));
    text.len() <= 255 && text.split('.').all(|label| label.len() <= 63) && form.is_match(text)
}

/// A URI with a scheme, or an absolute path.
fn is_uri(text: &str) -> bool {
    let escapes = text
        .split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()));
    let host = text.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    (text.starts_with('/') || pattern!("^[A-Za-z][A-Za-z0-9+.-]*:").is_match(text))
        && escapes
        && !host.contains(' ')
        && !text.chars().any(char::is_control)
}

fn without_separators(text: &str) -> Vec<u32> {
    let digits = text.chars().filter(|letter| !letter.is_whitespace() && *letter != '-');
    digits.map(|letter| if letter == 'X' { 10 } else { letter.to_digit(10).unwrap_or(u32::MAX) }).collect()
}

fn is_isbn10(text: &str) -> bool {
    let digits = without_separators(text);
    let valid = digits.len() == 10 && digits[..9].iter().all(|digit| *digit < 10) && digits[9] <= 10;
    valid && (1..).zip(&digits).map(|(weight, digit)| weight.min(10) * digit).sum::<u32>().is_multiple_of(11)
}

fn is_isbn13(text: &str) -> bool {
    let digits = without_separators(text);
    let valid = digits.len() == 13 && digits.iter().all(|digit| *digit < 10);
    valid && [1, 3].iter().cycle().zip(&digits).map(|(weight, digit)| weight * digit).sum::<u32>().is_multiple_of(10)
}

fn is_credit_card(text: &str) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let issued = pattern!(
        "^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\\d{3})\\d{11})$"
    );
    let sum: u32 = digits
        .chars()
        .rev()
        .filter_map(|letter| letter.to_digit(10))
        .enumerate()
        .map(|(at, digit)| if at % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 })
        .sum();
    issued.is_match(&digits) && sum.is_multiple_of(10)
}

/// A duration of Go, `1h30m`, or a text with a number and a unit in words, `3 days`.
fn is_duration(text: &str) -> bool {
    const UNITS: [(&[&str], &str); 8] = [
        (&["ns"], "nano"),
        (&["us", "µs"], "micro"),
        (&["ms"], "milli"),
        (&["s"], "sec"),
        (&["m"], "min"),
        (&["h", "hr"], "hour"),
        (&["d"], "day"),
        (&["w", "wk"], "week"),
    ];
    let go = pattern!(r"^[-+]?(0|([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$");
    let mut in_words = pattern!(r"([0-9]+)\s*([A-Za-zµ]+)").captures_iter(text);
    let is_unit = |name: &str| UNITS.iter().any(|(short, long)| short.contains(&name) || name.starts_with(long));
    go.is_match(text) && text != "-" || in_words.any(|found| is_unit(&found[2].to_lowercase()))
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
            ("rgbcolor", "rgb(1, 2,3)", "rgb(1,2,256)"),
            ("ipv4", "01.2.3.4", "1.2.3"),
            ("isbn", "0321751043", "0321751044"),
            ("isbn13", "978-0321751041", "978-0321751042"),
            ("creditcard", "4012 8888 8888 1881", "4012888888881882"),
            ("ssn", "111-22-3333", "111223333"),
            ("k8s-short-name", "a-b", "a.b"),
            ("k8s-long-name", "a-b.c", "A"),
            ("uri", "urn:a:b", ""),
            ("hostname", "a.example", "a_b"),
        ] {
            assert!(fits(format, right), "{format} {right}");
            assert!(!fits(format, wrong), "{format} {wrong}");
        }
        assert!(fits("unknown", "anything"));
    }
}
