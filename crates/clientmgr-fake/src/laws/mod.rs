//! The laws that every provider, every manager and every map of bound states obeys, each a function of its own.
//!
//! A law takes a fresh set-up and panics where it is broken, with what was seen. The macros expand to one `#[test]` per
//! law: [`provider_laws!`](crate::provider_laws) for a [`ProviderSetup`], [`manager_laws!`](crate::manager_laws) for a
//! [`ManagerSetup`], [`bound_laws!`](crate::bound_laws) for a [`BoundSetup`]. Each takes how to make the set-up (the
//! expression may await) and how to run a future to its end: `futures::executor::block_on`, or a closure that builds a
//! runtime.
//!
//! Who writes a provider implements [`ProviderSetup`] and has all three: [`Managed`] and [`Bound`] put the manager and
//! the bound states of `clientmgr-core` over it.
//!
//! A rule that is broken by waiting for ever makes its law wait for ever: run the tests under a deadline, as most test
//! runners offer.
//!
//! What must not live here: anything that knows how a provider or a manager works inside. A law sees what a caller sees.
//!
//! # Example
//!
//! The laws on the fake itself, through a trait object:
//!
//! ```
//! mod on_a_trait_object {
//!     use std::sync::Arc;
//!     use clientmgr_core::{ClientProvider, ConnectedAt, NamespacedName};
//!     use clientmgr_fake::laws::FakeSetup;
//!
//!     type Provider = dyn ClientProvider<Client = u32, Key = NamespacedName, Revision = ConnectedAt>;
//!
//!     clientmgr_fake::provider_laws!(
//!         FakeSetup::new(|fake| -> Arc<Provider> { Arc::new(fake) }),
//!         futures::executor::block_on,
//!     );
//! }
//! # fn main() {}
//! ```

#![expect(clippy::missing_panics_doc, reason = "to panic where it is broken is what a law is for")]

mod adapters;
pub mod bound;
mod fake_setup;
mod handed_on;
mod macros;
pub mod manager;
mod polling;
pub mod provider;
mod setup;

pub use self::adapters::{Bound, Managed};
pub use self::fake_setup::FakeSetup;
pub use self::setup::{BoundSetup, ClientOf, KeyOf, Manager, ManagerSetup, ProviderSetup, RevisionOf, States};
