//! Checks that an error of the provider is passed on with everything in it.

use std::error::Error;
use std::fmt;

use clientmgr_core::{ClientError, ProviderError};

/// Asserts that `passed_on` contains what the provider `reported`: kind, source and retry hint, and names `cluster`.
///
/// Compares the sources by `Display` and by `Debug`: an error that was converted to text has another `Debug`.
#[track_caller]
pub(super) fn assert_passed_on<K, R>(reported: &ProviderError, passed_on: &ClientError<K, R>, cluster: &K)
where
    K: fmt::Debug + PartialEq,
    R: fmt::Debug,
    ClientError<K, R>: Error,
{
    match (reported, passed_on) {
        (
            ProviderError::Unavailable { retry_after: reported, .. },
            ClientError::Unavailable { retry_after: passed_on, .. },
        ) => assert_eq!(reported, passed_on, "the retry hint is another"),
        (ProviderError::Incompatible { .. }, ClientError::Incompatible { .. }) => {}
        _ => panic!("the provider reported {reported:?}, and {passed_on:?} was passed on"),
    }
    assert_eq!(sources(reported), sources(passed_on), "the source of {reported:?} was not handed on");
    assert_eq!(passed_on.cluster(), cluster, "the error names another cluster");
}

/// Returns the sources of `error`, each by `Display` and by `Debug`.
fn sources(error: &dyn Error) -> Vec<(String, String)> {
    let sources = std::iter::successors(error.source(), |source| (**source).source());
    sources.map(|source| (source.to_string(), format!("{source:?}"))).collect()
}
