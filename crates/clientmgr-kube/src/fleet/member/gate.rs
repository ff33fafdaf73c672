//! [`Gate`]: the handle that a member serves, as far as others may fence it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::client::{RevokedReason, Switch, Transport};

/// Lets a member's task serve its handle until it is closed. So `remove` fences before it returns, whatever the task
/// does meanwhile.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    serving: Weak<Switch>,
}

impl Gate {
    /// Turns `switch` to `transport`. Returns false where the gate is closed, or the switch was fenced for good.
    pub(super) fn turn(&self, switch: &Arc<Switch>, transport: Transport, generation: u64) -> bool {
        let mut state = self.state();
        let turned = !state.is_closed && switch.turn(transport, generation);
        if turned {
            state.serving = Arc::downgrade(switch);
        }
        turned
    }

    /// Fences what is served, for `reason`. Nothing is served from now on.
    pub(crate) fn close(&self, reason: RevokedReason) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.is_closed, true)
            && let Some(switch) = state.serving.upgrade()
        {
            switch.revoke(reason);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
