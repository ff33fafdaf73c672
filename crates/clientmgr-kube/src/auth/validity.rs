//! [`Validity`]: from when to when credentials hold. Times are read, never verified:
//! that is the server's business.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::Value;
use x509_parser::pem::Pem;

/// From when to when credentials hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    since: Timestamp,
    until: Timestamp,
}

impl Validity {
    pub(crate) fn new(since: Timestamp, until: Timestamp) -> Self {
        Self { since: since.min(until), until }
    }

    /// From when on the credentials hold.
    pub(crate) fn since(&self) -> Timestamp {
        self.since
    }

    /// When the credentials expire.
    pub(crate) fn until(&self) -> Timestamp {
        self.until
    }

    /// The one that ends first.
    pub(crate) fn earlier(self, other: Self) -> Self {
        std::cmp::min_by_key(self, other, Self::until)
    }

    /// The validity of a JSON Web Token, whose age counts from when it was issued; from `loaded` where it does not say.
    /// None for any other token, and for one without an end.
    pub(crate) fn of_token(token: &str, loaded: Timestamp) -> Option<Self> {
        let claims = token.split('.').nth(1)?;
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?).ok()?;
        let time = |claim: &str| seconds(claims.get(claim)?);
        Some(Self::new(time("iat").or_else(|| time("nbf")).unwrap_or(loaded), time("exp")?))
    }

    /// The validity of the first certificate of a PEM bundle: the leaf.
    pub(crate) fn of_certificate(pem: &str) -> Option<Self> {
        let leaf =
            Pem::iter_from_buffer(pem.as_bytes()).filter_map(Result::ok).find(|pem| pem.label == "CERTIFICATE")?;
        let leaf = leaf.parse_x509().ok()?;
        let time = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
        Some(Self::new(time(leaf.validity().not_before)?, time(leaf.validity().not_after)?))
    }
}

/// A `NumericDate`: seconds since the epoch, which may have a fraction.
fn seconds(claim: &Value) -> Option<Timestamp> {
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second does not matter, and casts saturate")]
    let seconds = claim.as_i64().or_else(|| claim.as_f64().map(|seconds| seconds as i64))?;
    // A time that is too late for a timestamp means never.
    Some(Timestamp::from_second(seconds).unwrap_or(if seconds.is_negative() { Timestamp::MIN } else { Timestamp::MAX }))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::Validity;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn jwt(claims: &Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[test]
    fn of_two_the_one_that_ends_first_counts() {
        let (a, b) = (Validity::new(at(0), at(100)), Validity::new(at(90), at(99)));
        assert_eq!(a.earlier(b), b);
        assert_eq!(b.earlier(a), b);
    }

    #[test]
    fn a_json_web_token_says_when_it_was_issued_and_ends() {
        let table = [
            (json!({"iat": 10, "exp": 110}), Some((10, 110))),
            (json!({"nbf": 20, "exp": 110}), Some((20, 110))),
            (json!({"iat": 10, "nbf": 20, "exp": 110}), Some((10, 110))),
            (json!({"exp": 110.5}), Some((5, 110))),
            (json!({"exp": 1}), Some((1, 1))),
            (json!({"iat": 10}), None),
            (json!({"exp": "soon"}), None),
            (json!([]), None),
        ];
        for (claims, expected) in table {
            let expected = expected.map(|(since, until)| Validity::new(at(since), at(until)));
            assert_eq!(Validity::of_token(&jwt(&claims), at(5)), expected, "{claims}");
        }
        let forever = Validity::of_token(&jwt(&json!({"exp": i64::MAX})), at(5)).unwrap();
        assert_eq!(forever.until(), Timestamp::MAX);
        for token in ["", "abc", "a.b.c", "a.b", &format!("a.{}.c", URL_SAFE_NO_PAD.encode("no json"))] {
            assert_eq!(Validity::of_token(token, at(5)), None, "{token:?}");
        }
    }

    #[test]
    fn a_certificate_says_from_when_to_when_it_holds() {
        let pem = crate::auth::testing::certificate("2026-01-01", "2026-01-11").0;
        let validity = Validity::of_certificate(&pem).unwrap();
        assert_eq!(validity.until().to_string(), "2026-01-11T00:00:00Z");
        assert_eq!(validity.since().to_string(), "2026-01-01T00:00:00Z");
        let behind_a_key = format!("-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n{pem}");
        assert_eq!(Validity::of_certificate(&behind_a_key), Some(validity));
        for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"] {
            assert_eq!(Validity::of_certificate(text), None, "{text:?}");
        }
    }
}
