//! An object of the usual size.
#![expect(unreachable_pub, reason = "shared by two bench binaries")]

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;

/// An object of the usual size: ten values, a few labels.
pub fn map(name: &str) -> ConfigMap {
    let pairs = |count: usize, value: &str| -> BTreeMap<String, String> {
        (0..count).map(|index| (format!("key-{index}"), value.to_owned())).collect()
    };
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.to_owned()), labels: Some(pairs(3, "label")), ..ObjectMeta::default() },
        data: Some(pairs(10, "a value of some length, as there are many")),
        ..ConfigMap::default()
    }
}
