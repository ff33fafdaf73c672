//! A user who acts as another one.

use crate::support::{fleet_with, served, server, snapshot};
use crate::traffic::list;

#[tokio::test]
async fn requests_are_sent_as_the_user_and_groups_of_the_kubeconfig() {
    let server = server("east").await;
    let mut kubeconfig = server.kubeconfig();
    let user = kubeconfig.auth_infos[0].auth_info.as_mut().unwrap();
    user.impersonate = Some("alice".into());
    user.impersonate_groups = Some(vec!["system:masters".into()]);
    let (fleet, east) = fleet_with(&kubeconfig);
    fleet.wait_connected(&east).await.unwrap();
    fleet.probe(&east).await.unwrap();
    assert_eq!(snapshot(&fleet, &east).user.as_deref(), Some("alice"));
    list(&served(&fleet, &east).await.client).await.unwrap();
}
