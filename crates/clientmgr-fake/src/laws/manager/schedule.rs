//! What holds over a whole schedule of calls and changes, as far as calls one after another can say it.

use clientmgr_core::ClientError;

use super::stage::{Stage, expect_client};
use crate::laws::setup::{ManagerSetup, ProviderSetup};

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
    async fn make<M: ManagerSetup>(self, stage: &Stage<M>) {
        match self {
            Self::Nothing => {}
            Self::Replace => stage.steering().replace(&stage.east).await,
            Self::Fail => stage.steering().fail(&stage.east).await,
            Self::Recover => stage.steering().recover(&stage.east).await,
        }
    }
}

/// Between two resets, every client that an object obtains is of one revision; and clients of two revisions have a
/// reset between them. Also for a caller that reconciles with a cluster object that trails the connection.
pub async fn between_two_resets_all_clients_are_of_one_revision<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    let mut obtained = None;
    let mut last_good = stage.observe(&stage.east).await;
    for change in SCHEDULE {
        change.make(&stage).await;
        let current = stage.observe(&stage.east).await;
        for cluster in [&last_good, &current, &current] {
            if stage.refresh(cluster).is_reset() {
                obtained = None;
            }
            match stage.client(cluster).await {
                Ok(client) => {
                    stage.assert_current(&client, &stage.east).await;
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

/// Once the cluster object tells of the current connection, `refresh` and then `client` succeeds, whatever came before.
pub async fn a_refresh_makes_the_next_client_succeed<M: ManagerSetup>(setup: M) {
    let stage = Stage::new(setup).await;
    for change in SCHEDULE {
        change.make(&stage).await;
        let cluster = stage.observe(&stage.east).await;
        let _ = stage.refresh(&cluster);
        let answer = stage.client(&cluster).await;
        if cluster.revision.is_some() {
            expect_client(answer, "the object refreshed on the current connection");
            stage.assert_unchanged(&cluster, "the client of this connection is held");
        } else {
            assert!(answer.is_err(), "after {change:?}: the cluster fails, and a client was handed out");
        }
    }
}
