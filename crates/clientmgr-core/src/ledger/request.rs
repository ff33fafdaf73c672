//! Requests to a provider, and their tickets: how a request learns that it was forgotten meanwhile.
//!
//! Without that the answer would bring back the entry of a deleted object, and nobody would ever remove it. From the
//! moment the provider hears of a request a forget may come, so there must be something in the row before, for the forget
//! to take away: the entry that stands, or else a ticket.
//!
//! An entry that stands is read before the provider is asked, and not once more where nothing at all was edited meanwhile:
//! then it still stands.

use std::sync::atomic::Ordering;

use super::Ledger;
use crate::rules::{Decision, Entry};
use crate::{Key, Revision};

/// A request that asks the provider. Dropping it leaves no trace of it.
pub(crate) struct Request<'a, O: Key, K: Key, R: Revision> {
    ledger: &'a Ledger<O, K, R>,
    object: &'a O,
    cluster: &'a K,
    evidence: Evidence<R>,
}

/// What a forget takes away.
enum Evidence<R> {
    /// The entry, as it stood at this version of the rows. Another request may put it back, so this is enough only where
    /// the answer comes at once.
    Entry(Entry<R>, u64),
    Ticket(u64),
    /// It was taken away.
    None,
}

impl<O: Key, K: Key, R: Revision> Ledger<O, K, R> {
    /// Notes a request, before the provider is asked. Costs a look where an entry stands.
    #[inline]
    pub(crate) fn request<'a>(&'a self, object: &'a O, cluster: &'a K) -> Request<'a, O, K, R> {
        let version = self.rows.version();
        let entry = self.rows.read(object, |row| row.and_then(|row| row.entry(cluster)).cloned());
        let stood = entry.map(|entry| Evidence::Entry(entry, version));
        let evidence = stood.unwrap_or_else(|| self.open(object, cluster, false));
        Request { ledger: self, object, cluster, evidence }
    }

    /// A ticket, unless an entry that stood was taken away.
    fn open(&self, object: &O, cluster: &K, entry_stood: bool) -> Evidence<R> {
        let number = self.next_ticket.fetch_add(1, Ordering::Relaxed);
        self.edit(object, cluster, |row, interned| {
            if entry_stood && row.entry(cluster).is_none() {
                return (Some(interned), Evidence::None);
            }
            row.open(interned, number);
            (None, Evidence::Ticket(number))
        })
    }
}

impl<O: Key, K: Key, R: Revision> Request<'_, O, K, R> {
    /// Notes that the provider does not answer at once.
    pub(crate) fn waits(&mut self) {
        if matches!(self.evidence, Evidence::Entry(..)) {
            self.evidence = self.ledger.open(self.object, self.cluster, true);
        }
    }

    /// Decides on the entry as [`Ledger::decide`] does, and ends the request in the same step. `None` where it was
    /// forgotten: then nothing is decided.
    #[inline]
    pub(crate) fn settle<T>(mut self, decide: impl Fn(Option<&Entry<R>>) -> Decision<R, T>) -> Option<T> {
        match std::mem::replace(&mut self.evidence, Evidence::None) {
            Evidence::Entry(entry, version) => {
                let (change, said) = decide(Some(&entry));
                if change.is_none() && self.ledger.rows.version() == version {
                    return Some(said);
                }
                self.ledger.decide(self.object, self.cluster, |entry| match entry {
                    Some(_) => {
                        let (change, said) = decide(entry);
                        (change, Some(said))
                    }
                    None => (None, None),
                })
            }
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
