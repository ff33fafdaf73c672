//! [`SecretData`]: what a Secret contains, with each kubeconfig in it parsed once.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use clientmgr_kube::{ConnectError, parse_kubeconfig};
use k8s_openapi::ByteString;
use kube::config::Kubeconfig;

/// What a Secret contains. Many Clusters may be contexts of one kubeconfig, and to parse it takes milliseconds. It has no
/// `Debug`: the data is secret.
#[derive(Default, PartialEq)]
pub(super) struct SecretData(BTreeMap<String, Value>);

struct Value {
    text: ByteString,
    kubeconfig: OnceLock<Result<Kubeconfig, ConnectError>>,
}

impl SecretData {
    pub(super) fn new(data: BTreeMap<String, ByteString>) -> Self {
        let value = |text| Value { text, kubeconfig: OnceLock::new() };
        Self(data.into_iter().map(|(key, text)| (key, value(text))).collect())
    }

    /// Returns the kubeconfig under `key`, if there is such a key.
    pub(super) fn kubeconfig(&self, key: &str) -> Option<Result<&Kubeconfig, ConnectError>> {
        let value = self.0.get(key)?;
        let kubeconfig = value.kubeconfig.get_or_init(|| parse_kubeconfig(&value.text.0));
        Some(kubeconfig.as_ref().map_err(Clone::clone))
    }
}

/// By the text only.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::{BTreeMap, ByteString, SecretData};

    #[test]
    fn data_is_the_same_by_its_texts_parsed_or_not() {
        let data =
            |text: &str| SecretData::new(BTreeMap::from([("a".to_owned(), ByteString(text.as_bytes().to_vec()))]));
        let parsed = data("[");
        assert!(parsed.kubeconfig("a").unwrap().is_err());
        assert!(parsed == data("[") && parsed != data("]") && parsed != SecretData::default());
    }

    #[test]
    fn a_kubeconfig_is_parsed_once() {
        let text = |text: &str| ByteString(text.as_bytes().to_vec());
        let data = BTreeMap::from([("good".to_owned(), text("current-context: east")), ("bad".to_owned(), text("["))]);
        let data = SecretData::new(data);
        let good = || data.kubeconfig("good").unwrap().unwrap();
        assert_eq!(good().current_context.as_deref(), Some("east"));
        assert!(ptr::eq(good(), good()));
        assert!(data.kubeconfig("bad").unwrap().is_err() && data.kubeconfig("missing").is_none());
    }
}
