//! How a law tells that an error of the provider came through with everything in it.

use std::error::Error;
use std::fmt;

use clientmgr_core::{ClientError, ProviderError};

/// That `handed_on` says of `cluster` all that the provider `reported`: what it is, its source and its retry hint.
///
/// The sources are compared as they are shown and as they are debugged: an error that was made into text loses its type,
/// and shows it there.
#[track_caller]
pub(super) fn assert_handed_on<K, R>(reported: &ProviderError, handed_on: &ClientError<K, R>, cluster: &K)
where
    K: fmt::Debug + PartialEq,
    R: fmt::Debug,
    ClientError<K, R>: Error,
{
    match (reported, handed_on) {
        (
            ProviderError::Unavailable { retry_after: reported, .. },
            ClientError::Unavailable { retry_after: handed_on, .. },
        ) => assert_eq!(reported, handed_on, "the retry hint is another"),
        (ProviderError::Incompatible { .. }, ClientError::Incompatible { .. }) => {}
        _ => panic!("the provider reported {reported:?}, and {handed_on:?} was handed on"),
    }
    assert_eq!(sources(reported), sources(handed_on), "the source of {reported:?} was not handed on");
    assert_eq!(handed_on.cluster(), cluster, "the error names another cluster");
}

/// The sources of `error`, each as it is shown and as it is debugged.
fn sources(error: &dyn Error) -> Vec<(String, String)> {
    let sources = std::iter::successors(error.source(), |source| (**source).source());
    sources.map(|source| (source.to_string(), format!("{source:?}"))).collect()
}
