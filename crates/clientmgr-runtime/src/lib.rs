#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub use clientmgr_kube::{k8s_openapi, kube};

#[cfg(test)]
mod captured_log;
pub mod cluster;
pub mod controller;
pub mod forget;
pub mod lease;
mod listing;
pub mod requeue;
pub mod source;
pub mod watch;
mod watching;
