//! [`Managed`] and [`Bound`]: the manager and the bound states of `clientmgr-core` over the provider of any setup.

use std::fmt;

use clientmgr_core::{BoundStates, ClientManager};

use super::probe::Probe;
use super::setup::{KeyOf, ProviderSetup};
use super::subject::{BoundSetup, ManagerSetup};
use crate::{Gate, Gated};

/// The [`ManagerSetup`] of a [`ClientManager`] over the provider of `S`.
pub struct Managed<S: ProviderSetup<Provider: Clone>> {
    setup: S,
    manager: ClientManager<Gated<S::Provider>, u32>,
}

impl<S: ProviderSetup<Provider: Clone>> Managed<S> {
    /// Returns a manager over a clone of the provider of `setup`.
    pub fn new(setup: S) -> Self {
        let manager = ClientManager::new(Gated::new(setup.provider().clone()));
        Self { setup, manager }
    }
}

impl<S: ProviderSetup<Provider: Clone>> ManagerSetup for Managed<S> {
    type Provider = S;
    type Manager = ClientManager<Gated<S::Provider>, u32>;

    fn provider_setup(&self) -> &S {
        &self.setup
    }

    fn manager(&self) -> &Self::Manager {
        &self.manager
    }

    fn gate(&self) -> &Gate<KeyOf<S>> {
        self.manager.provider().gate()
    }

    fn objects(&self) -> [u32; 2] {
        [1, 2]
    }
}

/// The [`BoundSetup`] of [`BoundStates`] over the provider of `S`.
pub struct Bound<S: ProviderSetup<Provider: Clone>> {
    setup: S,
    states: BoundStates<Gated<S::Provider>, u32, Probe>,
}

impl<S: ProviderSetup<Provider: Clone>> Bound<S> {
    /// Returns a map of states whose clients come from a clone of the provider of `setup`.
    pub fn new(setup: S) -> Self {
        let states = BoundStates::new(Gated::new(setup.provider().clone()));
        Self { setup, states }
    }
}

impl<S: ProviderSetup<Provider: Clone>> BoundSetup for Bound<S> {
    type Provider = S;
    type States = BoundStates<Gated<S::Provider>, u32, Probe>;

    fn provider_setup(&self) -> &S {
        &self.setup
    }

    fn states(&self) -> &Self::States {
        &self.states
    }

    fn gate(&self) -> &Gate<KeyOf<S>> {
        self.states.provider().gate()
    }

    fn objects(&self) -> [u32; 2] {
        [1, 2]
    }
}

impl<S: ProviderSetup<Provider: Clone> + fmt::Debug> fmt::Debug for Managed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Managed").field("setup", &self.setup).finish_non_exhaustive()
    }
}

impl<S: ProviderSetup<Provider: Clone> + fmt::Debug> fmt::Debug for Bound<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("setup", &self.setup).finish_non_exhaustive()
    }
}
