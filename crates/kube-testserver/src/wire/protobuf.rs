//! Protobuf bodies of a few core types: what `kubectl create configmap` and its like send.
//!
//! Read only, by a table of fields; a field that is not in the table is refused by name instead of dropped.
//! Answers are always JSON.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};

use crate::wire::status::Status;

/// The media type.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

const MAGIC: &[u8] = b"k8s\0";

/// How a field is read. Go writes empty values out, so what is empty is left out of the JSON.
#[derive(Debug, Clone, Copy)]
enum Form {
    Text,
    Bool,
    Number,
    /// A switch that is off, or a number that is 0, unless said otherwise: in Go these are the same as nothing.
    Switch,
    Count,
    Texts,
    /// A map of texts.
    Map,
    /// A map of bytes, base64 in JSON.
    BytesMap,
    Message(&'static [Field]),
    Messages(&'static [Field]),
    /// Set by the server; read past.
    Ignored,
}

type Field = (u64, &'static str, Form);

const OWNER: &[Field] = &[
    (1, "kind", Form::Text),
    (3, "name", Form::Text),
    (4, "uid", Form::Text),
    (5, "apiVersion", Form::Text),
    (6, "controller", Form::Bool),
    (7, "blockOwnerDeletion", Form::Bool),
];

const META: Field = (1, "metadata", Form::Message(OBJECT_META));
const OBJECT_META: &[Field] = &[
    (1, "name", Form::Text),
    (2, "generateName", Form::Text),
    (3, "namespace", Form::Text),
    (4, "selfLink", Form::Ignored),
    (5, "uid", Form::Text),
    (6, "resourceVersion", Form::Text),
    (7, "generation", Form::Ignored),
    (8, "creationTimestamp", Form::Ignored),
    (9, "deletionTimestamp", Form::Ignored),
    (10, "deletionGracePeriodSeconds", Form::Ignored),
    (11, "labels", Form::Map),
    (12, "annotations", Form::Map),
    (13, "ownerReferences", Form::Messages(OWNER)),
    (14, "finalizers", Form::Texts),
];

const RULE: &[Field] = &[
    (1, "verbs", Form::Texts),
    (2, "apiGroups", Form::Texts),
    (3, "resources", Form::Texts),
    (4, "resourceNames", Form::Texts),
    (5, "nonResourceURLs", Form::Texts),
];
const SUBJECT: &[Field] =
    &[(1, "kind", Form::Text), (2, "apiGroup", Form::Text), (3, "name", Form::Text), (4, "namespace", Form::Text)];
const ROLE_REF: &[Field] = &[(1, "apiGroup", Form::Text), (2, "kind", Form::Text), (3, "name", Form::Text)];

const PORT: &[Field] = &[
    (1, "name", Form::Text),
    (2, "hostPort", Form::Count),
    (3, "containerPort", Form::Number),
    (4, "protocol", Form::Text),
    (5, "hostIP", Form::Text),
];
const CONTAINER: &[Field] = &[
    (1, "name", Form::Text),
    (2, "image", Form::Text),
    (3, "command", Form::Texts),
    (4, "args", Form::Texts),
    (5, "workingDir", Form::Text),
    (6, "ports", Form::Messages(PORT)),
    (8, "resources", Form::Message(&[])),
    (13, "terminationMessagePath", Form::Text),
    (14, "imagePullPolicy", Form::Text),
    (16, "stdin", Form::Switch),
    (17, "stdinOnce", Form::Switch),
    (18, "tty", Form::Switch),
    (20, "terminationMessagePolicy", Form::Text),
];
const POD_SPEC: &[Field] = &[
    (2, "containers", Form::Messages(CONTAINER)),
    (3, "restartPolicy", Form::Text),
    (6, "dnsPolicy", Form::Text),
    (8, "serviceAccountName", Form::Text),
    (9, "serviceAccount", Form::Text),
    (10, "nodeName", Form::Text),
    (11, "hostNetwork", Form::Switch),
    (12, "hostPID", Form::Switch),
    (13, "hostIPC", Form::Switch),
    (16, "hostname", Form::Text),
    (17, "subdomain", Form::Text),
    (19, "schedulerName", Form::Text),
    (24, "priorityClassName", Form::Text),
];
const DEPLOYMENT_SPEC: &[Field] = &[
    (1, "replicas", Form::Number),
    (2, "selector", Form::Message(&[(1, "matchLabels", Form::Map)])),
    (3, "template", Form::Message(&[META, (2, "spec", Form::Message(POD_SPEC))])),
    (4, "strategy", Form::Message(&[(1, "type", Form::Text)])),
    (5, "minReadySeconds", Form::Count),
    (7, "paused", Form::Switch),
];

const RESOURCE_ATTRIBUTES: &[Field] = &[
    (1, "namespace", Form::Text),
    (2, "verb", Form::Text),
    (3, "group", Form::Text),
    (4, "version", Form::Text),
    (5, "resource", Form::Text),
    (6, "subresource", Form::Text),
    (7, "name", Form::Text),
];
const REVIEW_SPEC: &[Field] = &[
    (1, "resourceAttributes", Form::Message(RESOURCE_ATTRIBUTES)),
    (2, "nonResourceAttributes", Form::Message(&[(1, "path", Form::Text), (2, "verb", Form::Text)])),
];

fn fields_of(kind: &str) -> Option<&'static [Field]> {
    match kind {
        "ConfigMap" => {
            Some(&[META, (2, "data", Form::Map), (3, "binaryData", Form::BytesMap), (4, "immutable", Form::Bool)])
        }
        "Namespace" => Some(&[
            META,
            (2, "spec", Form::Message(&[(1, "finalizers", Form::Texts)])),
            (3, "status", Form::Message(&[(1, "phase", Form::Text)])),
        ]),
        "Secret" => Some(&[
            META,
            (2, "data", Form::BytesMap),
            (3, "type", Form::Text),
            (4, "stringData", Form::Map),
            (5, "immutable", Form::Bool),
        ]),
        "ServiceAccount" => Some(&[META, (4, "automountServiceAccountToken", Form::Bool)]),
        "Role" | "ClusterRole" => Some(&[META, (2, "rules", Form::Messages(RULE))]),
        "RoleBinding" | "ClusterRoleBinding" => {
            Some(&[META, (2, "subjects", Form::Messages(SUBJECT)), (3, "roleRef", Form::Message(ROLE_REF))])
        }
        "Deployment" => Some(&[META, (2, "spec", Form::Message(DEPLOYMENT_SPEC)), (3, "status", Form::Ignored)]),
        "SelfSubjectAccessReview" => {
            Some(&[META, (2, "spec", Form::Message(REVIEW_SPEC)), (3, "status", Form::Ignored)])
        }
        "DeleteOptions" => Some(&[
            (1, "gracePeriodSeconds", Form::Number),
            (2, "preconditions", Form::Message(&[(1, "uid", Form::Text), (2, "resourceVersion", Form::Text)])),
            (3, "orphanDependents", Form::Bool),
            (4, "propagationPolicy", Form::Text),
            (5, "dryRun", Form::Texts),
        ]),
        _ => None,
    }
}

/// Reads the body of a create or replace.
pub(crate) fn read(body: &[u8]) -> Result<Value, Status> {
    let broken = || Status::bad_request("the object provided is unrecognized: it is no Kubernetes protobuf");
    let envelope = body.strip_prefix(MAGIC).ok_or_else(broken)?;
    let (mut type_meta, mut raw) = (Map::new(), &[][..]);
    for field in Wire(envelope) {
        match field.ok_or_else(broken)? {
            (1, Wired::Bytes(bytes)) => {
                type_meta = message("TypeMeta", bytes, &[(1, "apiVersion", Form::Text), (2, "kind", Form::Text)])?;
            }
            (2, Wired::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let kind = type_meta.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let fields = fields_of(&kind)
        .ok_or_else(|| Status::not_implemented(format_args!("a body of kind {kind:?} in protobuf; send it as JSON")))?;
    let mut object = message(&kind, raw, fields)?;
    object.append(&mut type_meta);
    Ok(object.into())
}

fn message(name: &str, bytes: &[u8], fields: &[Field]) -> Result<Map<String, Value>, Status> {
    let broken = || Status::bad_request(format!("{name} cannot be decoded: its protobuf is broken"));
    let mut object = Map::new();
    for field in Wire(bytes) {
        let (number, wired) = field.ok_or_else(broken)?;
        let Some(&(_, key, form)) = fields.iter().find(|(known, ..)| *known == number) else {
            return Err(Status::not_implemented(format_args!("field {number} of {name} in protobuf; send it as JSON")));
        };
        let list = |object: &mut Map<String, Value>, value: Value| match object
            .entry(key)
            .or_insert_with(|| Value::Array(Vec::new()))
        {
            Value::Array(list) => list.push(value),
            other => *other = value,
        };
        match (form, wired) {
            (Form::Ignored, _) | (Form::Text, Wired::Bytes([])) | (Form::Switch | Form::Count, Wired::Number(0)) => {}
            (Form::Bool | Form::Switch, Wired::Number(value)) => {
                object.insert(key.to_owned(), (value != 0).into());
            }
            (Form::Number | Form::Count, Wired::Number(value)) => {
                object.insert(key.to_owned(), value.cast_signed().into());
            }
            (Form::Text, Wired::Bytes(bytes)) => {
                object.insert(key.to_owned(), text(bytes).ok_or_else(broken)?.into());
            }
            (Form::Texts, Wired::Bytes(bytes)) => list(&mut object, text(bytes).ok_or_else(broken)?.into()),
            (Form::Message(fields), Wired::Bytes(bytes)) => {
                let inner = message(name, bytes, fields)?;
                if !inner.is_empty() {
                    object.insert(key.to_owned(), inner.into());
                }
            }
            (Form::Messages(fields), Wired::Bytes(bytes)) => {
                list(&mut object, message(name, bytes, fields)?.into());
            }
            (Form::Map | Form::BytesMap, Wired::Bytes(bytes)) => {
                let (entry, value) = map_entry(bytes).ok_or_else(broken)?;
                let value = match form {
                    Form::Map => text(value).ok_or_else(broken)?.to_owned(),
                    _ => BASE64_STANDARD.encode(value),
                };
                if let Value::Object(map) = object.entry(key).or_insert_with(|| Map::new().into()) {
                    map.insert(entry.to_owned(), value.into());
                }
            }
            _ => return Err(broken()),
        }
    }
    Ok(object)
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn map_entry(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (mut key, mut value) = ("", &[][..]);
    for field in Wire(bytes) {
        match field? {
            (1, Wired::Bytes(bytes)) => key = text(bytes)?,
            (2, Wired::Bytes(bytes)) => value = bytes,
            _ => return None,
        }
    }
    Some((key, value))
}

/// A field as it is on the wire.
enum Wired<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, `None` where the encoding is broken.
struct Wire<'a>(&'a [u8]);

impl<'a> Wire<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn field(&mut self) -> Option<(u64, Wired<'a>)> {
        let tag = self.varint()?;
        let wired = match tag & 7 {
            0 => Wired::Number(self.varint()?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Wired::Bytes(bytes)
            }
            _ => return None,
        };
        Some((tag >> 3, wired))
    }
}

impl<'a> Iterator for Wire<'a> {
    type Item = Option<(u64, Wired<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
        field.extend_from_slice(bytes);
        field
    }

    fn body(kind: &str, raw: &[u8]) -> Vec<u8> {
        let type_meta = [field(1, b"v1"), field(2, kind.as_bytes())].concat();
        [MAGIC, &field(1, &type_meta), &field(2, raw), &field(3, b""), &field(4, b"")].concat()
    }

    #[test]
    fn a_secret_is_read_field_by_field() {
        let labels = [field(1, b"a"), field(2, b"b")].concat();
        let metadata = [field(1, b"s"), field(3, b""), field(8, b""), field(11, &labels), field(14, b"x/y")].concat();
        let data = [field(1, b"key"), field(2, &[0, 255])].concat();
        let raw = [field(1, &metadata), field(2, &data), field(3, b"Opaque"), vec![5 << 3, 1]].concat();
        assert_eq!(
            read(&body("Secret", &raw)).unwrap(),
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": true, "data": {"key": "AP8="},
                "metadata": {"name": "s", "labels": {"a": "b"}, "finalizers": ["x/y"]},
            })
        );
    }

    #[test]
    fn a_deployment_is_read_without_what_was_not_said() {
        let container = [field(1, b"web"), field(2, b"nginx"), field(8, b""), vec![0x80, 0x01, 0]].concat();
        let template =
            [field(1, &field(8, b"")), field(2, &[field(2, &container), vec![11 << 3, 0]].concat())].concat();
        let spec = [vec![1 << 3, 2], field(3, &template), field(4, b""), vec![5 << 3, 0], vec![7 << 3, 1]].concat();
        let raw = [field(1, &field(1, b"web")), field(2, &spec), field(3, &[1 << 3, 0])].concat();
        assert_eq!(
            read(&body("Deployment", &raw)).unwrap()["spec"],
            json!({
                "replicas": 2, "paused": true,
                "template": {"spec": {"containers": [{"name": "web", "image": "nginx"}]}},
            })
        );
        let limited = field(3, &field(2, &field(2, &field(8, &field(1, b"x")))));
        assert_eq!(read(&body("Deployment", &field(2, &limited))).unwrap_err().code(), 501, "nothing is dropped");
    }

    #[test]
    fn what_is_not_in_the_table_is_refused_and_what_is_broken_is_bad() {
        assert_eq!(read(&body("Pod", b"")).unwrap_err().code(), 501);
        assert_eq!(read(&body("ConfigMap", &field(9, b"x"))).unwrap_err().code(), 501);
        for broken in [&b"k8s"[..], b"{}", b"k8s\0\x12\x7f", b"k8s\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"] {
            assert_eq!(read(broken).unwrap_err().code(), 400, "{broken:?}");
        }
        assert_eq!(read(&body("ConfigMap", &[1 << 3 | 2, 9])).unwrap_err().code(), 400);
        assert_eq!(read(&body("ConfigMap", &[1 << 3, 9])).unwrap_err().code(), 400);
    }
}
