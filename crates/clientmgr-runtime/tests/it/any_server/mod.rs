//! The Cluster resource from end to end on the server that the environment names: the real `etcd` and `kube-apiserver` in
//! the directory `KUBEBUILDER_ASSETS`, or an in-process server. Faults are made on the network, so that both meet the same.

mod connecting;
mod errors;
mod fixture;
#[path = "../../../../clientmgr-kube/tests/any_server/forwarder.rs"]
mod forwarder;
mod kubectl;
mod lifecycle;
mod replicas;
mod rotation;
