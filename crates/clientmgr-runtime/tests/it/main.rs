//! clientmgr-runtime on in-process API servers, and on real ones where `KUBEBUILDER_ASSETS` is set.

mod any_server;
mod cluster_definition;
mod controller;
mod front_page;
mod lease;
mod requeue;
mod source;
mod watch;
