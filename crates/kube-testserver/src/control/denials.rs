//! Whether a test has forbidden a request.

use crate::{
    control::{orders::Rule, requests::Requests},
    wire::route::RequestInfo,
};

/// Whether `user` may make this request, by the rules that forbid.
pub(crate) fn decide(rules: &[Rule<Requests>], info: &RequestInfo, user: &str) -> Option<usize> {
    rules.iter().position(|rule| rule.order.matches(info, Some(user)))
}
