//! The user that makes a request: credentials, authentication, impersonation, and what needs no credentials.

pub(crate) mod authn;
pub(crate) mod authz;
pub(crate) mod credential;
pub(crate) mod impersonate;
pub(crate) mod review;
