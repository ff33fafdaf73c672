//! Tickets: how a request that waits for its provider learns that it was forgotten meanwhile.
//!
//! Without them the answer would bring back the entry of a deleted object, and nobody would ever remove it.

use std::sync::atomic::Ordering;

use super::Ledger;
use crate::rules::{Decision, Entry};
use crate::{Key, Revision};

/// A request that waits for its provider. Dropping it leaves no trace of the request.
pub(crate) struct Ticket<'a, O: Key, K: Key, R: Revision> {
    ledger: &'a Ledger<O, K, R>,
    object: &'a O,
    cluster: &'a K,
    number: u64,
}

impl<O: Key, K: Key, R: Revision> Ledger<O, K, R> {
    /// Notes a request that starts to wait.
    pub(crate) fn open<'a>(&'a self, object: &'a O, cluster: &'a K) -> Ticket<'a, O, K, R> {
        let number = self.next_ticket.fetch_add(1, Ordering::Relaxed);
        self.edit(object, cluster, |row, interned| {
            row.open(interned, number);
            (None, ())
        });
        Ticket { ledger: self, object, cluster, number }
    }
}

impl<O: Key, K: Key, R: Revision> Ticket<'_, O, K, R> {
    /// Decides on the entry as [`Ledger::decide`] does, and ends the wait in the same step. `None` where the request
    /// was forgotten: then nothing is decided.
    pub(crate) fn settle<T>(self, decide: impl FnOnce(Option<&Entry<R>>) -> Decision<R, T>) -> Option<T> {
        let (unused, said) = self.ledger.rows.edit(self.object, |row| {
            let Some(own_use) = row.close(self.number) else {
                return (None, None);
            };
            let (change, said) = decide(row.entry(self.cluster));
            (row.apply(own_use, change), Some(said))
        });
        if let Some(unused) = unused {
            self.ledger.clusters.release(unused);
        }
        said
    }
}

impl<O: Key, K: Key, R: Revision> Drop for Ticket<'_, O, K, R> {
    fn drop(&mut self) {
        if let Some(cluster) = self.ledger.rows.edit(self.object, |row| row.close(self.number)) {
            self.ledger.clusters.release(cluster);
        }
    }
}
