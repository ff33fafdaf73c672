//! What holds over a schedule of calls and changes.

use clientmgr_core::ClientError;

use super::harness::{Harness, expect_client};
use crate::laws::setup::ProviderSetup;
use crate::laws::subject::ManagerSetup;

/// A change of the provider between two reconciles.
#[derive(Clone, Copy, Debug)]
enum Change {
    Nothing,
    Replace,
    Fail,
    Recover,
}

/// Every pair of changes follows another at least once, as far as they can.
const SCHEDULE: [Change; 14] = [
    Change::Nothing,
    Change::Replace,
    Change::Replace,
    Change::Nothing,
    Change::Fail,
    Change::Nothing,
    Change::Recover,
    Change::Fail,
    Change::Recover,
    Change::Replace,
    Change::Fail,
    Change::Recover,
    Change::Nothing,
    Change::Replace,
];

impl Change {
    async fn make<M: ManagerSetup>(self, harness: &Harness<M>) {
        match self {
            Self::Nothing => {}
            Self::Replace => harness.provider_setup().replace(&harness.east).await,
            Self::Fail => harness.provider_setup().fail(&harness.east).await,
            Self::Recover => harness.provider_setup().recover(&harness.east).await,
        }
    }
}

/// Between two Resets, an object obtains clients of one revision only, also if its cluster objects lag behind.
pub async fn between_two_resets_all_clients_are_of_one_revision<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    let mut obtained = None;
    let mut last_good = harness.observe(&harness.east).await;
    for change in SCHEDULE {
        change.make(&harness).await;
        let current = harness.observe(&harness.east).await;
        for cluster in [&last_good, &current, &current] {
            if harness.refresh(cluster).is_reset() {
                obtained = None;
            }
            match harness.client(cluster).await {
                Ok(client) => {
                    harness.assert_current(&client, &harness.east).await;
                    let of = obtained.get_or_insert_with(|| cluster.revision.clone());
                    assert_eq!(*of, cluster.revision, "after {change:?}: two revisions, and no reset between them");
                }
                Err(error) => assert!(
                    !matches!(error, ClientError::RefreshRequired { .. }),
                    "after {change:?}: the object refreshed on {cluster:?}, and the error is {error:?}"
                ),
            }
        }
        if current.revision.is_some() {
            last_good = current;
        }
    }
}

/// Once the cluster object names the current connection, `refresh` and then `client` succeeds, whatever came before.
pub async fn a_refresh_makes_the_next_client_succeed<M: ManagerSetup>(setup: M) {
    let harness = Harness::new(setup).await;
    for change in SCHEDULE {
        change.make(&harness).await;
        let cluster = harness.observe(&harness.east).await;
        let _ = harness.refresh(&cluster);
        let answer = harness.client(&cluster).await;
        if cluster.revision.is_some() {
            expect_client(answer, "the object refreshed on the current connection");
            harness.assert_unchanged(&cluster, "the client of this connection is held");
        } else {
            assert!(answer.is_err(), "after {change:?}: the cluster fails, and a client was returned");
        }
    }
}
