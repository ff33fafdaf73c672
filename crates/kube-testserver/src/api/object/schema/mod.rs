//! Objects and their structural schema: undeclared fields are removed, defaults filled in, values checked.

mod cel_rules;
mod check;
mod correlate;
mod declared;
mod defaults;
mod embedded;
mod fill;
mod formats;
mod numbers;
mod path;
mod problems;
mod scale_values;
mod stored;
mod typed;
mod unique_items;

pub(crate) use self::{
    declared::prune,
    defaults::default_problems,
    embedded::{check_shape as check_embedded, normalize as normalize_embedded},
    fill::fill,
    problems::{Checked, problems},
    stored::{bring_up_to_date, read_back},
    typed::{errors as apply_errors, type_errors},
};
