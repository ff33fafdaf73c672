//! JSON as Go reads it: `null` is the zero value of a field. Templates write it for what is not set.

use serde::{Deserialize, Deserializer};

/// Reads a field whose `null` is its default.
pub(super) fn null_is_default<'de, D, T>(field: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(field)?.unwrap_or_default())
}
