//! [`AccessProviders`]: the file in which the operator says which credential plugins may be run for `ClusterProfile`s.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clientmgr_kube::kube::config::ExecConfig;
use serde::Deserialize;
use tokio::time::Instant;

use crate::source::error::SourceError;
use crate::source::file::{Files, Found, Known};
use crate::source::go_json::null_is_default;

/// The credential plugins that may be run for `ClusterProfile`s, in the order in which they are preferred. Cheap to clone.
///
/// # Examples
///
/// ```
/// use clientmgr_runtime::source::AccessProviders;
///
/// let providers = AccessProviders::from_json(br#"{"providers": [{
///     "name": "secretreader",
///     "execConfig": {"apiVersion": "client.authentication.k8s.io/v1", "command": "secretreader", "provideClusterInfo": true},
///     "profileSourcedCLIArgsPolicy": "Append"
/// }]}"#)?;
/// assert_eq!(providers.names().collect::<Vec<_>>(), ["secretreader"]);
/// # Ok::<_, clientmgr_runtime::source::SourceError>(())
/// ```
#[derive(Clone)]
pub struct AccessProviders(Arc<[Provider]>);

/// One credential plugin.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Provider {
    pub(super) name: String,
    pub(super) exec_config: ExecConfig,
    #[serde(default, deserialize_with = "null_is_default", rename = "profileSourcedCLIArgsPolicy")]
    pub(super) arguments: ArgumentsPolicy,
    #[serde(default, deserialize_with = "null_is_default", rename = "profileSourcedEnvVarsPolicy")]
    pub(super) variables: VariablesPolicy,
}

/// What becomes of the arguments that a profile adds.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) enum ArgumentsPolicy {
    #[default]
    #[serde(alias = "")]
    Ignore,
    Append,
}

/// What becomes of the environment variables that a profile adds.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) enum VariablesPolicy {
    #[default]
    #[serde(alias = "")]
    Ignore,
    /// The file wins.
    AppendIfNotExists,
    /// The profile wins.
    Replace,
}

#[derive(Deserialize)]
struct File {
    /// Required: a misspelled field would be no providers at all.
    #[serde(deserialize_with = "null_is_default")]
    providers: Vec<serde_json::Value>,
}

impl AccessProviders {
    /// Reads the providers from their file. Blocks.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or as those of [`from_json`](Self::from_json).
    pub fn read(path: impl AsRef<Path>) -> Result<Self, SourceError> {
        let path = path.as_ref();
        let text = std::fs::read(path);
        Self::from_json(&text.map_err(|error| SourceError::File { path: path.to_owned(), source: error.into() })?)
    }

    /// Parses the text of the providers' file.
    ///
    /// # Errors
    ///
    /// It is not such a file, or a policy is unknown; the error names the provider.
    pub fn from_json(text: &[u8]) -> Result<Self, SourceError> {
        let malformed = |field: String, expected| SourceError::Malformed { field, expected };
        let file: File = serde_json::from_slice(text)
            .map_err(|_| malformed("providers".to_owned(), "a list of access providers in a JSON object"))?;
        let mut providers = Vec::new();
        for (index, value) in file.providers.into_iter().enumerate() {
            let at = |name: &str| format!("providers[{index}].{name}");
            for (name, expected, known) in [
                ("profileSourcedCLIArgsPolicy", "Ignore or Append", &["Ignore", "Append"][..]),
                (
                    "profileSourcedEnvVarsPolicy",
                    "Ignore, AppendIfNotExists or Replace",
                    &["Ignore", "AppendIfNotExists", "Replace"],
                ),
            ] {
                // In Go, null and an empty text are a policy that is not set.
                let policy = value.get(name).filter(|policy| !policy.is_null() && *policy != "");
                if policy.is_some_and(|policy| !policy.as_str().is_some_and(|policy| known.contains(&policy))) {
                    return Err(malformed(at(name), expected));
                }
            }
            let expected = "a name and an execConfig";
            providers
                .push(serde_json::from_value(value).map_err(|_| malformed(format!("providers[{index}]"), expected))?);
        }
        Ok(Self(providers.into()))
    }

    /// Returns the names of the providers, the preferred one first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|provider| provider.name.as_str())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.0.iter()
    }
}

/// The providers' file, which may change.
pub(super) struct ProvidersFile(pub(super) PathBuf);

impl Files for ProvidersFile {
    type Content = (Vec<u8>, AccessProviders);
    type Part = ();

    fn paths(&self) -> Vec<PathBuf> {
        vec![self.0.clone()]
    }

    fn read(&self, _: &mut Known<()>, _: Instant) -> Result<Found<Self::Content>, SourceError> {
        let text = std::fs::read(&self.0);
        let text = text.map_err(|error| SourceError::File { path: self.0.clone(), source: error.into() })?;
        let providers = AccessProviders::from_json(&text)?;
        Ok(Found { content: (text, providers), doubts: Vec::new() })
    }

    fn is_same((last, _): &Self::Content, (now, _): &Self::Content) -> bool {
        last == now
    }
}

impl fmt::Debug for AccessProviders {
    /// Shows the names: arguments and variables may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::AccessProviders;

    #[test]
    fn what_is_wrong_with_the_file_is_named() {
        let table = [
            (r#"{"providers":[]}"#, None),
            (r#"{"providers":null}"#, None),
            (
                r#"{"providers":[{"name":"a","execConfig":{"args":null},
                    "profileSourcedCLIArgsPolicy":null,"profileSourcedEnvVarsPolicy":""}]}"#,
                None,
            ),
            ("[", Some("providers")),
            (r#"{"provider":[]}"#, Some("providers")),
            (r#"{"providers":[{"name":"a"}]}"#, Some("providers[0]")),
            (
                r#"{"providers":[{"name":"a","execConfig":{},"profileSourcedCLIArgsPolicy":"Prepend"}]}"#,
                Some("providers[0].profileSourcedCLIArgsPolicy"),
            ),
            (
                r#"{"providers":[{"name":"a","execConfig":{},"profileSourcedEnvVarsPolicy":"Append"}]}"#,
                Some("providers[0].profileSourcedEnvVarsPolicy"),
            ),
        ];
        for (text, expected) in table {
            let error = AccessProviders::from_json(text.as_bytes()).err();
            assert_eq!(error.as_ref().and_then(|error| error.field()), expected, "{text}");
        }
    }
}
