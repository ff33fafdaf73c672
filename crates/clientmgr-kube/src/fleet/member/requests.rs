//! The requests that wait for an attempt or a probe. Each is answered once.

use std::collections::HashSet;

use super::event::{Effect, Outcome};

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Requests {
    waiting: Vec<Waiting>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Waiting {
    request: u64,
    awaited: Awaited,
}

/// The first attempt or probe whose outcome is the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Awaited {
    Attempt(u64),
    Probe(u64),
    /// The same as `Attempt`, but an earlier attempt that succeeds will do: it brought newer credentials.
    Newer(u64),
}

impl Requests {
    /// Waits for the outcome of the attempt `first`, or of a later one.
    pub(super) fn for_attempt(&mut self, request: u64, first: u64) {
        self.waiting.push(Waiting { request, awaited: Awaited::Attempt(first) });
    }

    pub(super) fn for_newer(&mut self, request: u64, first: u64) {
        self.waiting.push(Waiting { request, awaited: Awaited::Newer(first) });
    }

    /// Whether a caller waits for newer credentials, which an attempt up to `ended` was to bring.
    pub(super) fn want_newer_by(&self, ended: u64) -> bool {
        self.waiting.iter().any(|waiting| matches!(waiting.awaited, Awaited::Newer(first) if first <= ended))
    }

    pub(super) fn for_probe(&mut self, request: u64, first: u64) {
        self.waiting.push(Waiting { request, awaited: Awaited::Probe(first) });
    }

    pub(super) fn answer_attempt<E: Clone>(&mut self, ended: u64, outcome: &Outcome<E>, effects: &mut Vec<Effect<E>>) {
        self.answer(|awaited| matches!(awaited, Awaited::Attempt(first) if first <= ended), outcome, effects);
    }

    /// What is known of newer credentials, for those that wait for an attempt up to `ended`.
    pub(super) fn answer_newer<E: Clone>(&mut self, ended: u64, outcome: &Outcome<E>, effects: &mut Vec<Effect<E>>) {
        self.answer(|awaited| matches!(awaited, Awaited::Newer(first) if first <= ended), outcome, effects);
    }

    pub(super) fn answer_probes<E: Clone>(&mut self, ended: u64, outcome: &Outcome<E>, effects: &mut Vec<Effect<E>>) {
        self.answer(|awaited| matches!(awaited, Awaited::Probe(first) if first <= ended), outcome, effects);
    }

    pub(super) fn answer_all<E: Clone>(&mut self, outcome: &Outcome<E>, effects: &mut Vec<Effect<E>>) {
        self.answer(|_| true, outcome, effects);
    }

    pub(super) fn forget(&mut self, requests: &HashSet<u64>) {
        self.waiting.retain(|waiting| !requests.contains(&waiting.request));
    }

    /// There is nothing left to probe: the next attempt is the answer.
    pub(super) fn probes_wait_for_attempt(&mut self, first: u64) {
        for waiting in &mut self.waiting {
            if let Awaited::Probe(_) = waiting.awaited {
                waiting.awaited = Awaited::Attempt(first);
            }
        }
    }

    fn answer<E: Clone>(
        &mut self,
        is_answered: impl Fn(Awaited) -> bool,
        outcome: &Outcome<E>,
        effects: &mut Vec<Effect<E>>,
    ) {
        self.waiting.retain(|waiting| {
            let answered = is_answered(waiting.awaited);
            if answered {
                effects.push(Effect::Answer { request: waiting.request, outcome: outcome.clone() });
            }
            !answered
        });
    }
}
