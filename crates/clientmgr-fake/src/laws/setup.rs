//! [`ProviderSetup`]: what a test implements to have the laws run on its provider.

use std::fmt;
use std::future::Future;

use clientmgr_core::ClientProvider;

/// The client of a setup's provider.
pub type ClientOf<S> = <<S as ProviderSetup>::Provider as ClientProvider>::Client;
/// The cluster key of a setup's provider.
pub type KeyOf<S> = <<S as ProviderSetup>::Provider as ClientProvider>::Key;
/// The revision of a setup's provider.
pub type RevisionOf<S> = <<S as ProviderSetup>::Provider as ClientProvider>::Revision;

/// A provider under test, and the means to change its connections. The only trait that a user of the laws implements.
///
/// # Contract
///
/// [`connect`](Self::connect), [`replace`](Self::replace), [`fail`](Self::fail), [`recover`](Self::recover) and
/// [`remove`](Self::remove) complete once the provider answers accordingly. They panic if they fail. Nothing else changes
/// the connections.
///
/// A new setup's provider knows none of the clusters.
pub trait ProviderSetup {
    /// The provider under test.
    type Provider: ClientProvider;
    /// What identifies a client: a number that it carries, or the name of the server that it talks to.
    type Identity: PartialEq + fmt::Debug;

    /// Returns the provider.
    fn provider(&self) -> &Self::Provider;

    /// Returns two clusters that can be connected.
    fn clusters(&self) -> [KeyOf<Self>; 2];

    /// Returns a cluster that is never connected.
    fn unknown_cluster(&self) -> KeyOf<Self>;

    /// Connects a cluster that the provider does not know.
    fn connect(&self, cluster: &KeyOf<Self>) -> impl Future<Output = ()>;

    /// Replaces the current connection of a cluster by another one.
    fn replace(&self, cluster: &KeyOf<Self>) -> impl Future<Output = ()>;

    /// Makes a connected cluster fail: the provider knows it and returns an error.
    fn fail(&self, cluster: &KeyOf<Self>) -> impl Future<Output = ()>;

    /// Connects a failing cluster again. The provider chooses whether it keeps the connection or makes a new one.
    fn recover(&self, cluster: &KeyOf<Self>) -> impl Future<Output = ()>;

    /// Removes a cluster, connected or failing: the provider no longer knows it.
    fn remove(&self, cluster: &KeyOf<Self>) -> impl Future<Output = ()>;

    /// Returns what identifies `client`. Called only while its connection is current.
    ///
    /// Two clients of one connection have the same identity, those of two clusters different ones. Two connections of one
    /// cluster may share an identity.
    fn identify(&self, client: &ClientOf<Self>) -> impl Future<Output = Self::Identity>;
}
