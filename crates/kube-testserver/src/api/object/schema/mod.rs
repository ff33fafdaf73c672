//! Objects and their structural schema: undeclared fields are removed, defaults filled in, values checked.

mod check;
mod correlate;
mod declared;
mod embedded;
mod fill;
mod formats;
mod go_values;
mod lists;
mod numbers;
mod problems;
mod rules;
mod scale;
mod stored;
mod typed;

pub(crate) use self::{
    declared::prune,
    fill::fill,
    problems::problems,
    stored::bring_up_to_date,
    typed::{errors as apply_errors, is_typed},
};
