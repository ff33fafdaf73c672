//! Whether a test has forbidden a request.

use crate::{
    control::{orders::Order, requests::Requests},
    wire::route::RequestInfo,
};

/// Whether `user` may make this request, by the orders that forbid.
pub(crate) fn decide(orders: &[Order<Requests>], info: &RequestInfo, user: &str) -> Option<usize> {
    orders.iter().position(|order| order.what.matches(info, Some(user)))
}
