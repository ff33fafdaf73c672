//! Certificate signing requests: who asks, what may be asked, and who approves. Nothing here signs them.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::pem;
use crate::{
    api::object::meta,
    registry::kinds::Kind,
    wire::{
        call::Caller,
        status::Cause,
        syntax::{label_problems, subdomain_problems},
    },
};

/// The conditions that only the subresource `approval` changes.
const DECISIONS: [&str; 2] = ["Approved", "Denied"];

/// The conditions that no update removes, and whose status is always `True`.
const LASTING: [&str; 3] = ["Approved", "Denied", "Failed"];

const CONDITIONS: &str = "status.conditions";

/// The first byte of everything that X.509 and PKCS#10 define.
const DER_SEQUENCE: u8 = 0x30;

/// Sorted, as messages list them.
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// Whether the kind is that of signing requests.
pub(crate) fn is_one(kind: &Kind) -> bool {
    kind.is("certificates.k8s.io", "certificatesigningrequests")
}

/// Records the user who asks.
pub(crate) fn sign_with(caller: &Caller, object: &mut Value) {
    let spec = meta::object_at(object, "spec");
    spec.insert("username".to_owned(), caller.username.as_str().into());
    spec.insert("groups".to_owned(), caller.groups.clone().into());
    for field in ["uid", "extra"] {
        spec.remove(field);
    }
    if let Some(uid) = &caller.uid {
        spec.insert("uid".to_owned(), uid.as_str().into());
    }
    if !caller.extra.is_empty() {
        spec.insert("extra".to_owned(), json!(caller.extra));
    }
}

fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    object["status"]["conditions"].as_array().into_iter().flatten()
}

fn of_type<'a>(object: &'a Value, kind: &str) -> impl Iterator<Item = &'a Value> {
    conditions(object).filter(move |condition| condition["type"] == kind)
}

/// Restricts a write through `approval` to the conditions and the metadata.
pub(crate) fn keep_all_but_conditions(old: &Value, new: &mut Value) {
    let conditions = new["status"]["conditions"].take();
    for field in ["spec", "status"] {
        new[field] = old[field].clone();
    }
    meta::object_at(new, "status").insert("conditions".to_owned(), conditions);
}

/// Keeps the decisions, which a write of the status does not change. One that it adds or removes is an error, which
/// [`problems`] and [`added_decisions`] report.
pub(crate) fn keep_decisions(old: &Value, new: &mut Value) {
    for kind in DECISIONS {
        let kept: Vec<Value> = of_type(old, kind).cloned().collect();
        if kept.len() == of_type(new, kind).count() {
            let written = new.pointer_mut("/status/conditions").and_then(Value::as_array_mut).into_iter().flatten();
            written.filter(|condition| condition["type"] == kind).zip(kept).for_each(|(new, old)| *new = old);
        }
    }
}

/// Fills in the times that conditions lack. The last transition is that of the old condition with the same type and status.
pub(crate) fn fill_in_times(old: &Value, new: &mut Value, now: Timestamp) {
    let written = new.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
    for condition in written.into_iter().flatten() {
        if condition["lastUpdateTime"].is_null() {
            condition["lastUpdateTime"] = meta::time(now);
        }
        if condition["lastTransitionTime"].is_null() {
            let same = conditions(old).find(|known| {
                ["type", "status"].iter().all(|field| known[*field] == condition[*field])
                    && !known["lastTransitionTime"].is_null()
            });
            condition["lastTransitionTime"] =
                same.map_or_else(|| meta::time(now), |known| known["lastTransitionTime"].clone());
        }
    }
}

/// What is wrong with a request beyond its metadata. What was wrong in `old` already is no error.
pub(crate) fn problems(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let known = |rule: fn(&Value) -> Vec<Cause>| {
        if old.is_some_and(|old| !rule(old).is_empty()) { vec![] } else { rule(object) }
    };
    let mut causes = request_problems(object);
    causes.extend(known(unknown_usages));
    causes.extend(known(repeated_usages));
    causes.extend(signer_name_problems(object["spec"]["signerName"].as_str().unwrap_or_default()));
    if let Some(seconds) = object["spec"]["expirationSeconds"].as_i64().filter(|seconds| *seconds < 600) {
        let rule = "may not specify a duration less than 600 seconds (10 minutes)";
        causes.push(Cause::invalid_raw("spec.expirationSeconds", &seconds.to_string(), rule));
    }
    causes.extend(known(untyped_conditions));
    causes.extend(condition_status_problems(object));
    causes.extend(known(contradicting_decisions));
    causes.extend(known(repeated_conditions));
    if old.is_none_or(|old| old["status"]["certificate"] != object["status"]["certificate"]) {
        causes.extend(known(certificate_problems));
    }
    causes.extend(old.into_iter().flat_map(|old| problems_of_change(object, old)));
    causes
}

fn decoded(value: &Value) -> String {
    let bytes = BASE64_STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn request_problems(object: &Value) -> Vec<Cause> {
    let spec = &object["spec"];
    let text = decoded(&spec["request"]);
    let rule = match pem::blocks(&text).first() {
        Some(block) if block.kind == "CERTIFICATE REQUEST" => {
            (block.content.first() != Some(&DER_SEQUENCE)).then_some("asn1: structure error")
        }
        _ => Some("PEM block type must be CERTIFICATE REQUEST"),
    };
    let mut causes: Vec<Cause> =
        rule.map(|rule| Cause::invalid_raw("spec.request", &spec["request"].to_string(), rule)).into_iter().collect();
    if spec["usages"].as_array().is_none_or(Vec::is_empty) {
        causes.push(Cause::required("spec.usages", ""));
    }
    causes
}

fn usages(object: &Value) -> Vec<&str> {
    object["spec"]["usages"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn unknown_usages(object: &Value) -> Vec<Cause> {
    let usages = usages(object).into_iter().enumerate().filter(|(_, usage)| !USAGES.contains(usage));
    usages.map(|(at, usage)| Cause::not_supported(format!("spec.usages[{at}]"), usage, &USAGES)).collect()
}

fn repeated_usages(object: &Value) -> Vec<Cause> {
    let usages = usages(object);
    let repeated = usages.iter().enumerate().filter(|(at, usage)| usages[..*at].contains(usage));
    repeated.map(|(at, usage)| Cause::duplicate(format!("spec.usages[{at}]"), usage)).collect()
}

fn signer_name_problems(name: &str) -> Vec<Cause> {
    const FIELD: &str = "spec.signerName";
    let invalid = |value: &str, rule: &str| Cause::invalid(FIELD, value, rule);
    if name.is_empty() {
        return vec![Cause::required(FIELD, "")];
    }
    if name == "kubernetes.io/legacy-unknown" {
        return vec![invalid(name, "the legacy signerName is not allowed via this API version")];
    }
    let Some((domain, path)) = name.split_once('/').filter(|(_, path)| !path.contains('/')) else {
        let rule = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        return vec![invalid(name, rule)];
    };
    // Of each part, only the first segment with an error is named.
    let first = |part: &str, rules: fn(&str) -> Vec<String>| -> Vec<Cause> {
        let mut segments = part.split('.').map(|segment| (segment, rules(segment)));
        let wrong = segments.find(|(_, rules)| !rules.is_empty());
        let of = |(segment, rules): (&str, Vec<String>)| -> Vec<Cause> {
            rules.iter().map(|rule| invalid(part, &format!("validating label {segment:?}: {rule}"))).collect()
        };
        wrong.map(of).unwrap_or_default()
    };
    let mut causes: Vec<Cause> = (domain.len() > 253).then(|| Cause::too_long(FIELD, 253)).into_iter().collect();
    causes.extend(first(domain, label_problems));
    if !domain.contains('.') {
        causes.push(invalid(domain, "should be a domain with at least two segments separated by dots"));
    }
    causes.extend(first(path, subdomain_problems));
    if name.len() > 571 {
        causes.push(Cause::too_long(FIELD, 571));
    }
    causes
}

fn untyped_conditions(object: &Value) -> Vec<Cause> {
    let untyped = conditions(object).enumerate().filter(|(_, one)| one["type"].as_str().unwrap_or_default().is_empty());
    untyped.map(|(at, _)| Cause::required(format!("{CONDITIONS}[{at}].type"), "")).collect()
}

fn condition_status_problems(object: &Value) -> Vec<Cause> {
    let problem = |(at, condition): (usize, &Value)| {
        let lasts = LASTING.iter().any(|kind| condition["type"] == *kind);
        let allowed: &[&str] = if lasts { &["True"] } else { &["False", "True", "Unknown"] };
        let field = format!("{CONDITIONS}[{at}].status");
        match condition["status"].as_str().unwrap_or_default() {
            "" => Some(Cause::required(field, "")),
            status if allowed.contains(&status) => None,
            status => Some(Cause::not_supported(field, status, allowed)),
        }
    };
    conditions(object).enumerate().filter_map(problem).collect()
}

fn contradicting_decisions(object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut seen = [false; 2];
    for condition in conditions(object) {
        let Some(at) = DECISIONS.iter().position(|kind| condition["type"] == *kind) else { continue };
        seen[at] = true;
        if seen[1 - at] {
            let rule = "Approved and Denied conditions are mutually exclusive";
            causes.push(Cause::invalid(CONDITIONS, DECISIONS[at], rule));
        }
    }
    causes
}

fn repeated_conditions(object: &Value) -> Vec<Cause> {
    let kinds: Vec<&str> = conditions(object).map(|one| one["type"].as_str().unwrap_or_default()).collect();
    let repeated = kinds.iter().enumerate().filter(|(at, kind)| kinds[..*at].contains(kind));
    repeated.map(|(at, kind)| Cause::duplicate(format!("{CONDITIONS}[{at}].type"), kind)).collect()
}

/// A certificate is PEM with one block or more, and nothing but certificates.
fn certificate_problems(object: &Value) -> Vec<Cause> {
    let text = decoded(&object["status"]["certificate"]);
    if text.is_empty() {
        return Vec::new();
    }
    let blocks = pem::blocks(&text);
    let wrong = blocks.iter().find_map(|block| match () {
        () if block.kind != "CERTIFICATE" => {
            Some(format!("only CERTIFICATE PEM blocks are allowed, found {:?}", block.kind))
        }
        () if block.has_headers => Some("no PEM block headers are permitted".to_owned()),
        () if block.content.is_empty() => Some("found CERTIFICATE PEM block containing 0 certificates".to_owned()),
        () => (block.content[0] != DER_SEQUENCE).then(|| "x509: malformed certificate".to_owned()),
    });
    let none = || blocks.is_empty().then(|| "must contain at least one CERTIFICATE PEM block".to_owned());
    let rule = wrong.or_else(none);
    rule.map(|rule| Cause::invalid("status.certificate", "<certificate data>", &rule)).into_iter().collect()
}

/// What an update may not do: remove a condition that lasts, or change a certificate.
fn problems_of_change(new: &Value, old: &Value) -> Vec<Cause> {
    let lost = LASTING.iter().filter(|kind| of_type(new, kind).count() < of_type(old, kind).count());
    let rule = |kind: &&str| format!("updates may not remove a condition of type {kind:?}");
    let mut causes: Vec<Cause> = lost.map(|kind| Cause::forbidden(CONDITIONS, &rule(kind))).collect();
    let certificate = |object: &Value| object["status"]["certificate"].as_str().unwrap_or_default().to_owned();
    if !certificate(old).is_empty() && certificate(old) != certificate(new) {
        causes.push(Cause::forbidden("status.certificate", "updates may not modify existing certificate content"));
    }
    causes
}

/// The decisions that a write of the status adds, which only an approval may.
pub(crate) fn added_decisions(old: &Value, new: &Value) -> Vec<Cause> {
    let added = DECISIONS.iter().filter(|kind| of_type(new, kind).count() > of_type(old, kind).count());
    let rule = |kind: &&str| format!("updates may not add a condition of type {kind:?}");
    added.map(|kind| Cause::forbidden(CONDITIONS, &rule(kind))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> Value {
        BASE64_STANDARD.encode(text).into()
    }

    fn pem_of(kind: &str) -> Value {
        encoded(&format!("-----BEGIN {kind}-----\nMAA=\n-----END {kind}-----\n"))
    }

    /// A request with this certificate and conditions of these types and statuses.
    fn request(certificate: &Value, conditions: &[(&str, &str)]) -> Value {
        let conditions = conditions.iter().map(|(kind, status)| json!({"type": kind, "status": status}));
        json!({
            "spec": {"request": pem_of("CERTIFICATE REQUEST"), "signerName": "example.com/a", "usages": ["client auth"]},
            "status": {"certificate": certificate, "conditions": conditions.collect::<Vec<_>>()},
        })
    }

    fn fields(causes: &[Cause]) -> Vec<&str> {
        causes.iter().map(|cause| cause.field.as_str()).collect()
    }

    #[test]
    fn the_name_of_a_signer_is_a_domain_and_a_path() {
        for name in ["example.com/signer", "example.com/my.signer", "a.b.c/d-e"] {
            assert_eq!(signer_name_problems(name), [], "{name}");
        }
        for (name, count) in [
            ("", 1),
            ("signer", 1),
            ("example.com/a/b", 1),
            ("com/a", 1),
            ("Example.com/a", 1),
            ("example.com/A", 1),
            ("example.com/", 1),
            ("X/Y", 3),
            ("kubernetes.io/legacy-unknown", 1),
        ] {
            assert_eq!(signer_name_problems(name).len(), count, "{name}: {:?}", signer_name_problems(name));
        }
        let long = format!("{}.com/a", "b".repeat(254));
        assert_eq!(signer_name_problems(&long).len(), 2, "the label is too long as well");
    }

    #[test]
    fn conditions_are_known_by_type_and_contradict_in_no_way() {
        for (conditions, expected) in [
            (&[("Approved", "True")][..], &[][..]),
            (&[("Other", "Unknown"), ("Failed", "True")], &[]),
            (&[("", "True")], &["status.conditions[0].type"]),
            (&[("Other", "")], &["status.conditions[0].status"]),
            (&[("Other", "Maybe")], &["status.conditions[0].status"]),
            (&[("Failed", "False")], &["status.conditions[0].status"]),
            (&[("Denied", "True"), ("Other", "True"), ("Approved", "True")], &["status.conditions"]),
            (&[("Other", "True"), ("Other", "False")], &["status.conditions[1].type"]),
        ] {
            let object = request(&Value::Null, conditions);
            assert_eq!(fields(&problems(&object, None)), expected, "{conditions:?}");
            assert_eq!(fields(&problems(&object, Some(&request(&Value::Null, &[])))), expected, "{conditions:?}");
        }
    }

    #[test]
    fn what_was_wrong_already_is_let_pass() {
        for conditions in
            [&[("", "True")][..], &[("Denied", "True"), ("Approved", "True")], &[("Other", "True"), ("Other", "False")]]
        {
            let object = request(&Value::Null, conditions);
            assert_eq!(problems(&object, Some(&object)), [], "{conditions:?}");
        }
        let mut object = request(&encoded("none"), &[]);
        object["spec"]["usages"] = json!(["other", "other"]);
        assert_eq!(problems(&object, Some(&object)), []);
    }

    #[test]
    fn lasting_conditions_stay() {
        let (none, failed) = (request(&Value::Null, &[]), request(&Value::Null, &[("Failed", "True")]));
        assert_eq!(fields(&problems(&none, Some(&failed))), ["status.conditions"]);
        assert_eq!(problems(&none, Some(&request(&Value::Null, &[("Other", "True")]))), []);
    }

    #[test]
    fn a_certificate_is_pem_and_does_not_change() {
        let none = request(&Value::Null, &[]);
        let given = request(&pem_of("CERTIFICATE"), &[]);
        assert_eq!(problems(&given, Some(&none)), []);
        for (certificate, rule) in [
            (encoded("none"), "at least one CERTIFICATE PEM block"),
            (pem_of("PRIVATE KEY"), "only CERTIFICATE PEM blocks are allowed, found \"PRIVATE KEY\""),
            (encoded("-----BEGIN CERTIFICATE-----\na: b\n\nMAA=\n-----END CERTIFICATE-----"), "headers"),
            (encoded("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"), "0 certificates"),
            (encoded("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"), "malformed certificate"),
        ] {
            let [cause] = &problems(&request(&certificate, &[]), Some(&none))[..] else { panic!("{rule}") };
            assert!(cause.message.contains(rule), "{cause:?}");
        }
        for other in [Value::Null, encoded("-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----")] {
            assert_eq!(fields(&problems(&request(&other, &[]), Some(&given))), ["status.certificate"]);
        }
    }

    #[test]
    fn a_transition_is_as_old_as_the_condition_with_the_same_status() {
        let old = json!({"status": {"conditions": [{"type": "A", "status": "True", "lastTransitionTime": "then"}]}});
        let now = Timestamp::UNIX_EPOCH;
        let mut new = request(&Value::Null, &[("A", "True"), ("A", "False"), ("B", "True")]);
        new["status"]["conditions"][2]["lastTransitionTime"] = "said".into();
        fill_in_times(&old, &mut new, now);
        let times: Vec<&Value> = conditions(&new).map(|condition| &condition["lastTransitionTime"]).collect();
        assert_eq!(times, [&json!("then"), &meta::time(now), &json!("said")]);
        assert!(conditions(&new).all(|condition| condition["lastUpdateTime"] == meta::time(now)));
    }
}
