//! Every law on the fake: by itself, and behind every pointer that is a provider too.

use std::sync::Arc;

use clientmgr_core::{ClientProvider, ConnectedAt, NamespacedName};
use clientmgr_fake::FakeClientProvider;
use clientmgr_fake::laws::FakeSetup;
use clientmgr_fake::{bound_laws, manager_laws, provider_laws};
use futures::executor::block_on;

type DynProvider = dyn ClientProvider<Client = u32, Key = NamespacedName, Revision = ConnectedAt>;

mod itself {
    use super::*;

    fn setup() -> FakeSetup {
        FakeSetup::default()
    }

    mod provider {
        use super::*;
        provider_laws!(setup(), block_on);
    }
    mod manager {
        use super::*;
        manager_laws!(setup(), block_on);
    }
    mod bound {
        use super::*;
        bound_laws!(setup(), block_on);
    }
}

mod shared_trait_object {
    use super::*;

    fn setup() -> FakeSetup<Arc<DynProvider>> {
        FakeSetup::new(|fake| -> Arc<DynProvider> { Arc::new(fake) })
    }

    mod provider {
        use super::*;
        provider_laws!(setup(), block_on);
    }
    mod manager {
        use super::*;
        manager_laws!(setup(), block_on);
    }
    mod bound {
        use super::*;
        bound_laws!(setup(), block_on);
    }
}

mod boxed_trait_object {
    use super::*;
    provider_laws!(FakeSetup::new(|fake| -> Box<DynProvider> { Box::new(fake) }), block_on);
}

mod reference {
    use super::*;

    /// A setup has to own its provider, so the fake is leaked to have a reference that outlives it.
    fn setup() -> FakeSetup<&'static FakeClientProvider<u32>> {
        FakeSetup::new(|fake| &*Box::leak(Box::new(fake)))
    }

    mod provider {
        use super::*;
        provider_laws!(setup(), block_on);
    }
    mod manager {
        use super::*;
        manager_laws!(setup(), block_on);
    }
}
