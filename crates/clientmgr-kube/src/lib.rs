//! clientmgr-kube
