//! Requests to a provider, and their tickets: how a request learns that it was forgotten meanwhile.
//!
//! Without that the answer would bring back the entry of a deleted object, and nobody would ever remove it. From the
//! moment the provider hears of a request a forget may come, so there must be something in the row before, for the forget
//! to take away: the entry that stands, or else a ticket.

use std::sync::atomic::Ordering;

use super::Ledger;
use crate::rules::{Decision, Entry};
use crate::{Key, Revision};

/// A request that asks the provider. Dropping it leaves no trace of it.
pub(crate) struct Request<'a, O: Key, K: Key, R: Revision> {
    ledger: &'a Ledger<O, K, R>,
    object: &'a O,
    cluster: &'a K,
    evidence: Evidence,
}

/// What a forget takes away.
enum Evidence {
    /// The entry. Another request may put it back, so this is enough only where the answer comes at once.
    Entry,
    Ticket(u64),
    /// It was taken away.
    None,
}

impl<O: Key, K: Key, R: Revision> Ledger<O, K, R> {
    /// Notes a request, before the provider is asked. Costs a look where an entry stands.
    #[inline]
    pub(crate) fn request<'a>(&'a self, object: &'a O, cluster: &'a K) -> Request<'a, O, K, R> {
        let stands = self.rows.read(object, |row| row.is_some_and(|row| row.entry(cluster).is_some()));
        let mut request = Request { ledger: self, object, cluster, evidence: Evidence::Entry };
        if !stands {
            request.take_ticket(false);
        }
        request
    }
}

impl<O: Key, K: Key, R: Revision> Request<'_, O, K, R> {
    /// Notes that the provider does not answer at once.
    pub(crate) fn waits(&mut self) {
        if matches!(self.evidence, Evidence::Entry) {
            self.take_ticket(true);
        }
    }

    fn take_ticket(&mut self, entry_stood: bool) {
        let number = self.ledger.next_ticket.fetch_add(1, Ordering::Relaxed);
        self.evidence = self.ledger.edit(self.object, self.cluster, |row, interned| {
            if entry_stood && row.entry(self.cluster).is_none() {
                return (Some(interned), Evidence::None);
            }
            row.open(interned, number);
            (None, Evidence::Ticket(number))
        });
    }

    /// Decides on the entry as [`Ledger::decide`] does, and ends the request in the same step. `None` where it was
    /// forgotten: then nothing is decided.
    #[inline]
    pub(crate) fn settle<T>(mut self, decide: impl Fn(Option<&Entry<R>>) -> Decision<R, T>) -> Option<T> {
        match std::mem::replace(&mut self.evidence, Evidence::None) {
            Evidence::Entry => self.ledger.decide(self.object, self.cluster, |entry| match entry {
                Some(_) => {
                    let (change, said) = decide(entry);
                    (change, Some(said))
                }
                None => (None, None),
            }),
            Evidence::Ticket(number) => self.close(number, decide),
            Evidence::None => None,
        }
    }

    fn close<T>(&self, number: u64, decide: impl Fn(Option<&Entry<R>>) -> Decision<R, T>) -> Option<T> {
        let (unused, said) = self.ledger.rows.edit(self.object, |row| {
            let Some(own_use) = row.close(number) else {
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

impl<O: Key, K: Key, R: Revision> Drop for Request<'_, O, K, R> {
    #[inline]
    fn drop(&mut self) {
        if let Evidence::Ticket(number) = self.evidence
            && let Some(cluster) = self.ledger.rows.edit(self.object, |row| row.close(number))
        {
            self.ledger.clusters.release(cluster);
        }
    }
}
