//! Attempts: when they begin, and what follows from a transport that was built and proven, or was not.

use std::time::Duration;

use super::{Health, Link, Machine, Pending};
use crate::fleet::clock::Now;
use crate::fleet::member::event::{Effect, Fault, FenceReason, Opened, Outcome, SameCluster};

impl<I: SameCluster, E: Fault<I>> Machine<I, E> {
    /// A user's request was refused with 401 on the transport of `generation`.
    pub(super) fn credentials_refused(
        &mut self,
        now: Now,
        request: u64,
        generation: u64,
        effects: &mut Vec<Effect<E>>,
    ) {
        match (&self.link, self.renewal_pause) {
            (Some(link), _) if link.generation > generation => {
                effects.push(Effect::Answer { request, outcome: link.outcome() });
            }
            (Some(_), Some(pause)) => {
                // An attempt under way may have loaded the very credentials that were refused: its failure is no answer.
                self.requests.for_newer(request, self.attempts + 1);
                if self.attempt.is_none() {
                    self.renew_after(pause, now);
                }
            }
            _ if self.attempt.is_some() => self.requests.for_attempt(request, self.attempts),
            _ => effects.push(Effect::Answer { request, outcome: Outcome::Unchanged }),
        }
    }

    /// Begins an attempt, not sooner than `pause` after the last one: a server that refuses every token must not make a
    /// plugin run for every request.
    pub(super) fn renew_after(&mut self, pause: Duration, now: Now) {
        let earliest = self.attempt_ended.map_or(now.mono, |ended| now.mono.max(ended + pause));
        self.attempt_at = Some(self.attempt_at.map_or(earliest, |at| at.min(earliest)));
    }

    pub(super) fn opened(&mut self, now: Now, attempt: u64, opened: Opened<I>, effects: &mut Vec<Effect<E>>) {
        let Some(pending) = self.attempt.take_if(|pending| pending.number == attempt) else {
            effects.push(Effect::Discard { attempt });
            return;
        };
        if let Some(pin) = self.expected.pin.clone().filter(|pin| !pin.same(&opened.identity)) {
            effects.push(Effect::Discard { attempt });
            let error = E::other_cluster(&pin, &opened.identity);
            self.attempt_failed(now, pending, error, effects);
            return;
        }
        self.attempt_ended = Some(now.mono);
        self.attempt_at = None;
        self.backoff.reset();
        self.error = None;
        let pause = opened.renewal_pause.unwrap_or_default();
        let retry = self.timing.renewal_retry;
        self.expiry = opened.expiry.map(|expiry| expiry.with_jitter(now.jitter).loaded(now, pause, retry));
        self.renewal_pause = opened.renewal_pause;
        let (identity, revision) = match self.link.take() {
            Some(link) if link.identity.same(&opened.identity) => {
                (link.identity.merged(opened.identity), link.revision)
            }
            Some(Link { revision: Some(revision), .. }) => {
                self.fence(revision, FenceReason::Replaced, effects);
                (opened.identity, None)
            }
            _ => (opened.identity, None),
        };
        let revision = revision.or_else(|| self.name(&identity, opened.candidate));
        let link = Link { generation: attempt, identity, revision, candidate: opened.candidate };
        effects.push(Effect::Install { attempt });
        link.serve(effects);
        let outcome = link.outcome();
        self.link = Some(link);
        // The transport was just proven.
        self.health = Health::Healthy;
        self.end_probe(effects);
        self.probe_at = Some(self.timing.first_probe(now));
        self.requests.answer_attempt(attempt, &outcome, effects);
        self.requests.answer_newer(&outcome, effects);
        self.requests.answer_probes(u64::MAX, &outcome, effects);
        if pending.again {
            self.open(effects);
        }
    }

    pub(super) fn open_failed(&mut self, now: Now, attempt: u64, error: E, effects: &mut Vec<Effect<E>>) {
        if let Some(pending) = self.attempt.take_if(|pending| pending.number == attempt) {
            self.attempt_failed(now, pending, error, effects);
        }
    }

    pub(super) fn attempt_failed(&mut self, now: Now, pending: Pending, error: E, effects: &mut Vec<Effect<E>>) {
        self.attempt_ended = Some(now.mono);
        self.expiry = self.expiry.map(|expiry| expiry.postponed(now, self.timing.renewal_retry));
        let delay = self.backoff.after(error.class(), now.jitter);
        self.attempt_at = Some(now.mono + delay);
        self.requests.answer_attempt(pending.number, &Outcome::Failed(error.clone()), effects);
        self.error = Some(error);
        if let Some(pause) = self.renewal_pause.filter(|_| self.requests.want_newer()) {
            self.renew_after(pause, now);
        }
        if pending.again {
            self.open(effects);
        } else if self.link.is_some() {
            // What it was to replace may be broken as well.
            self.probe_now(now, effects);
        }
    }

    /// Begins an attempt at once, or has another one follow the one under way.
    pub(super) fn open_now(&mut self, effects: &mut Vec<Effect<E>>) {
        match &mut self.attempt {
            Some(pending) => pending.again = true,
            None => self.open(effects),
        }
    }

    pub(super) fn open_unless_pending(&mut self, effects: &mut Vec<Effect<E>>) {
        if self.attempt.is_none() {
            self.open(effects);
        }
    }

    pub(super) fn open(&mut self, effects: &mut Vec<Effect<E>>) {
        self.attempts += 1;
        self.attempt_at = None;
        self.attempt = Some(Pending { number: self.attempts, again: false });
        effects.push(Effect::Open { attempt: self.attempts });
    }
}
