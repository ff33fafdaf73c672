//! The fleet against the API server that the environment names: the real `etcd` and `kube-apiserver` in the directory
//! `KUBEBUILDER_ASSETS`, or an in-process server. Faults are made on the network in front of it, so that both meet the
//! same ones.

mod cluster;
mod forwarder;
mod users;

mod incarnations;
mod outages;
mod rotations;
mod writers;
