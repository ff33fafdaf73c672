//! Kubeconfig files and directories of them, as they change.

use std::fs;
use std::path::Path;

use clientmgr_fake::apiserver::TestServer;
use clientmgr_kube::NamespacedName;
use clientmgr_runtime::source::{KubeconfigDirectory, KubeconfigFiles, SourceError};

use super::fixture::{Fed, member};

fn key(name: &str) -> NamespacedName {
    NamespacedName::cluster_scoped(name)
}

async fn named(name: &str) -> (TestServer, String) {
    let server = TestServer::builder().name(name).start().await.unwrap();
    let kubeconfig = server.kubeconfig_yaml(&server.admin());
    (server, kubeconfig)
}

/// Replaces a file as careful writers do.
fn replace(path: &Path, text: &str) {
    let new = path.with_file_name("new.tmp");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

#[tokio::test]
async fn contexts_come_rotate_and_go_with_their_files() {
    let ((east, east_text), (_west, west_text)) = (named("east").await, named("west").await);
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    fs::write(&a, &east_text).unwrap();
    let files = KubeconfigFiles::new([&a, &b]);
    let mut fed = Fed::by(|sources| sources.source("files", files.watch()));
    let revision = fed.connected(&key("east")).await;

    replace(&b, &west_text);
    fed.connected(&key("west")).await;
    replace(&a, &east.kubeconfig_yaml(&east.issue_token("second")));
    fed.until("the new credential is in use", |fleet, _| {
        fleet.snapshot(key("east")).unwrap().user.as_deref() == Some("second")
    })
    .await;
    assert_eq!(fed.revision(&key("east")), revision);

    replace(&b, "contexts: [");
    fed.source("the source is broken", |source| matches!(source.error, Some(SourceError::Kubeconfig(_)))).await;
    fs::write(&b, "").unwrap();
    fed.source("the file is empty", |source| matches!(source.error, Some(SourceError::EmptyFile { .. }))).await;
    assert_eq!(fed.fleet.clusters(), [key("east"), key("west")]);
    fed.fleet.client("west").await.unwrap().apiserver_version().await.unwrap();

    fs::remove_file(&b).unwrap();
    fed.source("the file is missing", |source| matches!(source.error, Some(SourceError::Absent { .. }))).await;
    assert_eq!(fed.fleet.clusters(), [key("east"), key("west")]);
    replace(&b, "contexts: []");
    fed.gone(&key("west")).await;
    fed.source("the source works again", |source| source.error.is_none()).await;
    fs::remove_file(&b).unwrap();
    fs::remove_file(&a).unwrap();
    fed.source("all files are missing", |source| matches!(source.error, Some(SourceError::File { .. }))).await;
    assert_eq!((fed.fleet.clusters(), fed.revision(&key("east"))), (vec![key("east")], revision));
}

#[tokio::test]
async fn while_one_file_is_missing_the_others_rotate_and_add() {
    let ((east, east_text), (_west, west_text), (_north, north_text)) =
        (named("east").await, named("west").await, named("north").await);
    let directory = tempfile::tempdir().unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| directory.path().join(name));
    for (path, text) in [(&a, &east_text), (&b, &west_text)] {
        fs::write(path, text).unwrap();
    }
    let files = KubeconfigFiles::new([&a, &b, &c]);
    let mut fed = Fed::by(|sources| sources.source("files", files.watch()));
    let revision = fed.connected(&key("east")).await;
    fed.connected(&key("west")).await;

    fs::remove_file(&b).unwrap();
    fed.source("the file is missing", |source| matches!(source.error, Some(SourceError::Absent { .. }))).await;
    replace(&a, &east.kubeconfig_yaml(&east.issue_token("second")));
    fed.until("the new credential is in use", |fleet, _| {
        fleet.snapshot(key("east")).unwrap().user.as_deref() == Some("second")
    })
    .await;
    replace(&c, &north_text);
    fed.connected(&key("north")).await;
    assert_eq!(fed.revision(&key("east")), revision);
    // How long west stays is tested on a paused clock: a loaded machine may take longer than that here.
    replace(&b, &west_text);
    fed.connected(&key("west")).await;
    fed.source("the source works again", |source| source.error.is_none()).await;
    assert_eq!(fed.fleet.clusters(), [key("east"), key("north"), key("west")]);
}

#[tokio::test]
async fn each_file_of_a_directory_is_a_cluster() {
    let (_member, kubeconfig) = member().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("clusters");
    let source = KubeconfigDirectory::new(&path);
    let mut fed = Fed::by(|sources| sources.source("directory", source.watch()));
    fed.source("there is no directory", |source| matches!(source.error, Some(SourceError::File { .. }))).await;
    fs::create_dir(&path).unwrap();
    replace(&path.join("east.kubeconfig"), &kubeconfig);
    let revision = fed.connected(&key("east")).await;
    replace(&path.join("west.yaml"), &kubeconfig);
    fed.connected(&key("west")).await;

    replace(&path.join("east.kubeconfig"), "no: [");
    fed.broken(&key("east"), "is not valid").await;
    assert_eq!(fed.revision(&key("east")), revision);
    fed.fleet.client("east").await.unwrap().apiserver_version().await.unwrap();
    fs::remove_file(path.join("west.yaml")).unwrap();
    fed.gone(&key("west")).await;

    // What was mounted there is not: the directory is empty, and soon filled again.
    fs::rename(path.join("east.kubeconfig"), directory.path().join("aside")).unwrap();
    fed.source("there are no files", |source| matches!(source.error, Some(SourceError::Absent { .. }))).await;
    assert_eq!((fed.fleet.clusters(), fed.revision(&key("east"))), (vec![key("east")], revision));
    replace(&path.join("east.kubeconfig"), &kubeconfig);
    assert_eq!(fed.connected(&key("east")).await, revision);
    fed.source("the source works again", |source| source.error.is_none()).await;
}

#[cfg(unix)]
#[tokio::test]
async fn the_swap_of_a_mounted_secret_is_noticed() {
    use std::os::unix::fs::symlink;

    let ((_east, east), (_west, west)) = (named("east").await, named("west").await);
    let mount = tempfile::tempdir().unwrap();
    let path = |name: &str| mount.path().join(name);
    for (version, name, text) in [("..1", "east", &east), ("..2", "west", &west)] {
        fs::create_dir(path(version)).unwrap();
        fs::write(path(version).join(name), text).unwrap();
    }
    symlink("..1", path("..data")).unwrap();
    symlink("..data/east", path("east")).unwrap();
    let source = KubeconfigDirectory::new(mount.path());
    let mut fed = Fed::by(|sources| sources.source("mount", source.watch()));
    fed.connected(&key("east")).await;

    // As the kubelet does it: the data first, then what is new and what is gone.
    symlink("..2", path("..data_tmp")).unwrap();
    fs::rename(path("..data_tmp"), path("..data")).unwrap();
    symlink("..data/west", path("west")).unwrap();
    fs::remove_file(path("east")).unwrap();
    fed.connected(&key("west")).await;
    fed.gone(&key("east")).await;
}
