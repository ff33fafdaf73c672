//! Checks on numbers.

use serde_json::{Number, Value};

use crate::api::object::go_values::shown;
use crate::{
    registry::structural::node::{Checks, Type},
    wire::status::Cause,
};

/// What is wrong with a number.
pub(super) fn check(number: &Number, types: &[Type], checks: &Checks, path: &str, causes: &mut Vec<Cause>) {
    let Some(value) = number.as_f64() else { return };
    let text = shown(&Value::Number(number.clone()));
    check_width(number, types, checks, path, causes);
    if let Some(factor) = checks.multiple_of {
        check_multiple(number, factor, &text, path, causes);
    }
    if let Some(limit) = checks.maximum
        && (value > limit.value || limit.exclusive && value >= limit.value)
    {
        let bound = if limit.exclusive { "less than" } else { "less than or equal to" };
        causes.push(Cause::invalid_raw(path, &text, &format!("{path} in body should be {bound} {}", limit.value)));
    }
    if let Some(limit) = checks.minimum
        && (value < limit.value || limit.exclusive && value <= limit.value)
    {
        let bound = if limit.exclusive { "greater than" } else { "greater than or equal to" };
        causes.push(Cause::invalid_raw(path, &text, &format!("{path} in body should be {bound} {}", limit.value)));
    }
}

/// The integer that a number is.
fn as_integer(number: &Number) -> Option<i128> {
    number.as_i128().or_else(|| {
        let value = number.as_f64().filter(|value| value.fract() == 0.0)?;
        format!("{value:.0}").parse().ok()
    })
}

/// The format of a number says how many bits it has.
fn check_width(number: &Number, types: &[Type], checks: &Checks, path: &str, causes: &mut Vec<Cause>) {
    let format = checks.format.as_deref().unwrap_or_default();
    let integer = as_integer(number);
    let fits = match (types, format) {
        ([Type::Integer], "int32") => integer.is_some_and(|value| i32::try_from(value).is_ok()),
        ([Type::Integer], "uint32") => integer.is_some_and(|value| u32::try_from(value).is_ok()),
        ([Type::Integer], "uint64") => integer.is_some_and(|value| u64::try_from(value).is_ok()),
        ([Type::Integer], _) => integer.is_some_and(|value| i64::try_from(value).is_ok()),
        ([Type::Number], "float" | "float32") => {
            number.as_f64().is_some_and(|value| value.abs() <= f64::from(f32::MAX))
        }
        _ => true,
    };
    if !fits {
        let format = if format.is_empty() { " (default format)".to_owned() } else { format!(" with format {format}") };
        let kind = types.first().map_or("", |kind| kind.as_str());
        let rule = format!("Checked value must be of type {kind}{format} in {path}");
        causes.push(Cause::invalid("<nil>", "", &rule));
    }
}

fn check_multiple(number: &Number, factor: f64, text: &str, path: &str, causes: &mut Vec<Cause>) {
    // A real server rounds the factor down when the value is an integer.
    let whole = if number.is_f64() { factor } else { factor.trunc() };
    if whole <= 0.0 {
        let rule = format!("factor MultipleOf declared for {path} must be positive: {whole}");
        causes.push(Cause::invalid_raw(path, &whole.to_string(), &rule));
        return;
    }
    let value = number.as_f64().unwrap_or_default();
    let times = if whole < 1.0 { 1.0 / whole * value } else { value / whole };
    if (times - times.round()).abs() > 1e-9 * times.abs().max(1.0) {
        causes.push(Cause::invalid_raw(path, text, &format!("{path} in body should be a multiple of {whole}")));
    }
}
