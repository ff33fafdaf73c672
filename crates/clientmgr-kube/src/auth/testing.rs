//! Certificates for tests.

/// A certificate that holds between two days, and its key, as PEM. It is its own authority.
pub(crate) fn certificate(from: &str, until: &str) -> (String, String) {
    let day = |text: &str| {
        let mut parts = text.split('-').map(|part| part.parse::<u16>().unwrap());
        let (year, month, day) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        rcgen::date_time_ymd(year.into(), u8::try_from(month).unwrap(), u8::try_from(day).unwrap())
    };
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (day(from), day(until));
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}
