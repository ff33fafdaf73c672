//! The watches that are open, so that they can be ended on demand.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::{control::requests::Requests, wire::route::RequestInfo};

/// Every open watch of a server.
#[derive(Debug, Default)]
pub(crate) struct OpenWatches {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: HashMap<u64, OpenWatch>,
}

#[derive(Debug)]
struct OpenWatch {
    info: RequestInfo,
    user: String,
    end: CancellationToken,
}

/// A watch's place among the open ones; dropping it takes the watch off.
#[derive(Debug)]
pub(crate) struct Registration {
    watches: Arc<OpenWatches>,
    id: u64,
    /// Cancelled when the watch shall end.
    pub(crate) end: CancellationToken,
}

impl OpenWatches {
    pub(crate) fn register(self: &Arc<Self>, info: &RequestInfo, user: &str) -> Registration {
        let end = CancellationToken::new();
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.open.insert(id, OpenWatch { info: info.clone(), user: user.to_owned(), end: end.clone() });
        Registration { watches: Arc::clone(self), id, end }
    }

    /// Tells the watches among these requests to end, and says how many there are.
    pub(crate) fn end(&self, requests: &Requests) -> usize {
        let state = self.lock();
        let meant = state.open.values().filter(|open| requests.matches(&open.info, Some(&open.user)));
        meant.inspect(|open| open.end.cancel()).count()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.watches.lock().open.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_watches_that_are_meant_and_still_open_are_ended() {
        let watches = Arc::new(OpenWatches::default());
        let info = RequestInfo::parse(&http::Method::GET, "/api/v1/configmaps", Some("watch=1"));
        let [alice, bob, gone] = ["alice", "bob", "alice"].map(|user| watches.register(&info, user));
        drop(gone);
        assert_eq!(watches.end(&Requests::to("configmaps").user("alice")), 1);
        assert_eq!((alice.end.is_cancelled(), bob.end.is_cancelled()), (true, false));
        assert_eq!(watches.end(&Requests::to("secrets")), 0);
    }
}
