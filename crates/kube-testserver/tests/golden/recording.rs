//! The format of the recordings: one sequence of requests a line.

use std::{
    error::Error,
    io::{BufRead as _, BufReader},
};

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::Value;

/// Requests in a namespace of their own.
#[derive(Debug, Deserialize)]
pub(crate) struct Sequence {
    /// The plural name of the kind.
    pub(crate) kind: String,
    pub(crate) seed: u64,
    pub(crate) steps: Vec<Step>,
}

/// One request and its recorded answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    pub(crate) method: String,
    /// With `NS` for the namespace, and `START` for the resource version at the start of the sequence.
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    #[serde(rename = "type")]
    pub(crate) media_type: Option<String>,
    #[serde(rename = "rv")]
    pub(crate) resource_version: Option<Precondition>,
    pub(crate) code: u16,
    pub(crate) answer: Value,
}

/// The resource version that the body carries.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Precondition {
    Current,
    /// The one before the current one.
    Stale,
    None,
}

/// The sequences of a recording.
pub(crate) fn sequences(compressed: &[u8]) -> Result<Vec<Sequence>, Box<dyn Error>> {
    BufReader::new(GzDecoder::new(compressed)).lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}
