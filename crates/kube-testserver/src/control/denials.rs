//! Whether a test has forbidden a request.

use crate::{
    control::{injected::Injected, requests::Requests},
    wire::route::RequestInfo,
};

/// Whether `user` may make this request, by what was injected.
pub(crate) fn decide(injected: &[Injected<Requests>], info: &RequestInfo, user: &str) -> Option<usize> {
    injected.iter().position(|one| one.what.matches(info, Some(user)))
}
