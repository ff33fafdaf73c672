//! The client that writes, as `managedFields` calls it.

use crate::api::merge::field_set::Fields;

/// The client that writes.
#[derive(Debug, Clone)]
pub(crate) struct Manager {
    pub(crate) name: String,
    /// What it applies, when it makes an object by applying it.
    pub(crate) applied: Option<Fields>,
}

impl Manager {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), applied: None }
    }

    /// The manager a request names, or its user agent up to the slash.
    pub(crate) fn of_request(named: Option<&str>, agent: Option<&str>) -> Self {
        let agent = agent.and_then(|agent| agent.split('/').next());
        let name = named.or(agent).filter(|name| !name.is_empty()).unwrap_or("unknown");
        Self::new(&name.chars().take(128).collect::<String>())
    }
}
