//! Real binaries: an etcd and a kube-apiserver in processes of their own, and the choice between them and the in-process
//! server.

pub(crate) mod any;
mod certificates;
mod command;
mod ports;
mod process;
pub(crate) mod real_error;
pub(crate) mod server;

#[cfg(test)]
mod tests;
