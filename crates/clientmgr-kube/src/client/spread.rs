//! [`Spread`]: the requests to one server, spread over as few connections of HTTP/2 as carry them.
//!
//! A server grants a connection so many streams at a time, and hyper keeps one connection for a server: it queues what is
//! beyond, behind watches that may stay open for hours. So each hyper client here has a limit, and the next one opens another
//! connection. Over HTTP/1.1 each client has the connections it needs.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// So many requests and open responses a connection carries at most, where the server grants as many. A kube-apiserver grants
/// 100 by default.
const MOST_STREAMS: u32 = 80;

/// Clients of one server.
pub(super) struct Spread<C> {
    clients: Mutex<Vec<Counted<C>>>,
}

struct Counted<C> {
    client: C,
    /// One more owner than there are places taken.
    places: Place,
}

/// The place of a request on a connection, until its answer has ended.
pub(super) type Place = Arc<()>;

impl<C: Clone> Spread<C> {
    pub(super) fn new() -> Self {
        Self { clients: Mutex::default() }
    }

    /// The first client that has a place, or one that `make` makes. The server grants a connection `granted` streams.
    pub(super) fn take(&self, granted: u32, make: impl FnOnce() -> C) -> (C, Place) {
        let limit = granted.clamp(1, MOST_STREAMS) as usize;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        // A client without requests is kept for the next ones, and no more than one. Dropped after the lock.
        let idle = clients.iter().rev().take_while(|counted| Arc::strong_count(&counted.places) == 1).count();
        let kept = clients.len() - idle.saturating_sub(1);
        let _unused = clients.split_off(kept);
        let free = clients.iter().find(|counted| Arc::strong_count(&counted.places) <= limit);
        if let Some(Counted { client, places }) = free {
            return (client.clone(), Arc::clone(places));
        }
        let (client, places) = (make(), Place::default());
        // A client is large, and most servers need one.
        clients.reserve_exact(1);
        clients.push(Counted { client: client.clone(), places: Arc::clone(&places) });
        (client, places)
    }
}

/// The body of an answer, which holds a place.
pub(crate) struct Placed {
    body: Incoming,
    _place: Place,
}

impl Placed {
    pub(super) fn new(body: Incoming, place: Place) -> Self {
        Self { body, _place: place }
    }
}

impl Body for Placed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_STREAMS, Spread};

    #[test]
    fn the_first_client_with_a_place_is_taken_and_places_come_back() {
        for (granted, limit) in [(u32::MAX, MOST_STREAMS), (100, MOST_STREAMS), (50, 50), (1, 1), (0, 1)] {
            let limit = limit as usize;
            let spread = Spread::new();
            let mut made = 0;
            let mut take = || {
                spread.take(granted, || {
                    made += 1;
                    made
                })
            };
            let mut places: Vec<_> = (0..3 * limit).map(|_| take()).collect();
            let clients: Vec<_> = places.iter().map(|(client, _)| *client).collect();
            let expected: Vec<_> = (0..3 * limit).map(|number| number / limit + 1).collect();
            assert_eq!(clients, expected, "{granted} granted");
            places.remove(limit);
            assert_eq!(take().0, 2);
            assert_eq!(spread.clients.lock().unwrap().len(), 3);
            places.clear();
            assert_eq!(spread.take(granted, || 0).0, 1);
            assert_eq!(spread.clients.lock().unwrap().len(), 1, "a client without requests is dropped");
        }
    }
}
