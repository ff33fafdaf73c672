//! Why a rule cannot be evaluated, in the words of a real API server.

use kube_cel::cel::{ExecutionError, Value};

/// What the answer says of a rule, or of its message, that failed.
pub(super) fn described(error: &ExecutionError, rule: &str) -> String {
    let why = match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::IndexOutOfBounds(Value::Int(index)) => format!("index out of bounds: {index}"),
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
        ExecutionError::Overflow(_, Value::UInt(_), _) => "unsigned integer overflow".to_owned(),
        ExecutionError::Overflow(..) => "integer overflow".to_owned(),
        ExecutionError::FunctionError { function, message } if message.starts_with("string parse error") => {
            format!("type conversion error from 'string' to '{function}'")
        }
        ExecutionError::FunctionError { message, .. } => message.clone(),
        _ => {
            return format!(
                "'no such overload': call arguments did not match a supported operator, function or macro signature for \
                 rule: {rule}"
            );
        }
    };
    evaluating(&why, rule)
}

/// What the answer says of a value that a rule cannot read.
pub(super) fn evaluating(why: &str, rule: &str) -> String {
    format!("{why} evaluating rule: {rule}")
}
