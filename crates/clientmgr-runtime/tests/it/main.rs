//! clientmgr-runtime on in-process API servers, and on real ones where `KUBEBUILDER_ASSETS` is set.

mod source;
mod requeue;
mod watch;
