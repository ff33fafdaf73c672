#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod provider;

pub use self::provider::{EmptyKeyError, FakeClientProvider, FakeCluster, Hold};
