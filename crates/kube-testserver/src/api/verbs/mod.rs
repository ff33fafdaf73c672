//! Which part of the API a request is for, and what each verb does with its query and body.

pub(super) mod answer;
mod field_validation;
mod left_out;
mod request;
mod scale_requests;
mod self_review;
mod write_requests;
