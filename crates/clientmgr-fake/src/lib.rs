//! clientmgr-fake
