#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "apiserver")]
#[cfg_attr(docsrs, doc(cfg(feature = "apiserver")))]
pub use kube_testserver as apiserver;
pub mod laws;
mod provider;

pub use self::provider::{EmptyKeyError, FakeClientProvider, FakeCluster, Gate, Gated, Hold};
