//! Attempts: when they begin, and what follows from a transport that was built and proven, or was not.

use std::time::Duration;

use super::{Comparison, Health, Link, Machine, Pending};
use crate::fleet::clock::Now;
use crate::fleet::member::event::{Class, Effect, Fault, FenceReason, Opened, Outcome, SameCluster};

/// How long a refused request waits for a renewal to begin, where the last ones brought nothing.
const WAIT_FOR_RENEWAL: Duration = Duration::from_secs(1);

/// Between two renewals that 401s ask for, where they bring nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

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
                effects.push(Effect::Answer { request, outcome: self.outcome(link) });
            }
            (Some(_), Some(pause)) => {
                let earliest = self.earliest_renewal(pause, now);
                let is_idle = self.attempt.is_none();
                if self.fruitless > 0 && is_idle && earliest > now.mono + WAIT_FOR_RENEWAL {
                    // The last ones brought nothing. A change of a file, a probe or the backoff begins the next.
                    effects.push(Effect::Answer { request, outcome: Outcome::Unchanged });
                    return;
                }
                // An attempt under way may have loaded the very credentials that were refused: its failure is no answer.
                self.requests.for_newer(request, self.attempts + 1);
                if is_idle || self.unproven {
                    self.renew_after(pause, now);
                }
            }
            _ if self.attempt.is_some() => self.requests.for_attempt(request, self.attempts),
            _ => effects.push(Effect::Answer { request, outcome: Outcome::Unchanged }),
        }
    }

    /// When the next renewal may begin that a 401 asks for: ever later where they bring nothing. A server that refuses every
    /// token must not make a plugin run for every request.
    fn earliest_renewal(&self, pause: Duration, now: Now) -> Duration {
        let pause = pause.saturating_mul(1 << self.fruitless.min(10)).min(LONGEST_PAUSE.max(pause));
        self.attempt_ended.map_or(now.mono, |ended| now.mono.max(ended + pause))
    }

    /// Begins an attempt with the configuration that the link was made by, not sooner than `pause` after the last one.
    pub(super) fn renew_after(&mut self, pause: Duration, now: Now) {
        let earliest = self.earliest_renewal(pause, now);
        let at = if self.unproven { &mut self.renewal_at } else { &mut self.attempt_at };
        *at = Some(at.map_or(earliest, |at| at.min(earliest)));
    }

    pub(super) fn opened(&mut self, now: Now, attempt: u64, opened: Opened<I>, effects: &mut Vec<Effect<E>>) {
        let Some(pending) = self.attempt.take_if(|pending| pending.number == attempt) else {
            effects.push(Effect::Discard { attempt });
            return;
        };
        let renews = std::mem::take(&mut self.attempt_renews);
        // The pin is of the configuration of now.
        let pin = self.expected.pin.clone().filter(|_| !renews);
        let comparison = match pin.filter(|pin| !pin.same(&opened.identity)) {
            Some(pin) if opened.identity.shows_less_than(&pin) => Comparison::Failed(E::identity_hidden(&pin)),
            Some(pin) => Comparison::Failed(E::other_cluster(&pin, &opened.identity)),
            None => self.compare(now, &opened.identity, true),
        };
        if let Comparison::Failed(error) = comparison {
            effects.push(Effect::Discard { attempt });
            self.attempt_failed(now, pending, renews, error, effects);
            return;
        }
        let is_of_link = matches!(comparison, Comparison::Same);
        self.attempt_ended = Some(now.mono);
        if !renews {
            self.renewal_at = None;
            self.attempt_at = None;
            self.backoff.reset();
            self.error = None;
            self.unproven = false;
        }
        let pause = opened.renewal_pause.unwrap_or_default();
        let retry = self.timing.renewal_retry;
        self.expiry = opened.expiry.map(|expiry| expiry.with_jitter(now.jitter).loaded(now, pause, retry));
        self.renewal_pause = opened.renewal_pause;
        let is_confirmed =
            opened.is_same && self.link.as_ref().is_some_and(|link| link.revision.is_some()) && is_of_link;
        // It was proven on a connection of its own, which is what a check does.
        self.check_due &= pending.widened;
        let answered = if is_confirmed {
            self.confirmed(pending, opened.identity, effects);
            // A request that was refused while it was under way may have been refused for what it loaded.
            attempt
        } else {
            self.fruitless = 0;
            self.install(pending, opened, is_of_link, effects);
            u64::MAX
        };
        // The transport was just proven.
        self.health = Health::Healthy;
        self.end_probe(effects);
        self.probe_at = Some(self.timing.first_probe(now));
        if let Some(outcome) = self.link.as_ref().map(|link| self.outcome(link)) {
            if !renews {
                self.requests.answer_attempt(attempt, &outcome, effects);
            }
            self.requests.answer_newer(answered, &outcome, effects);
            self.requests.answer_probes(u64::MAX, &outcome, effects);
        }
        self.renew_if_wanted(now);
        self.probe_after_reports(now, pending, effects);
        if pending.again {
            self.open(effects);
        }
    }

    /// The attempt brought what is in use already.
    fn confirmed(&mut self, pending: Pending, identity: I, effects: &mut Vec<Effect<E>>) {
        effects.push(Effect::Confirm { attempt: pending.number });
        // It was proven on a connection of its own, which is closed again: the pool shows the identity with its next probe.
        self.show(identity, true, false, effects);
        self.fruitless = self.fruitless.saturating_add(u32::from(self.requests.want_newer_by(pending.number)));
    }

    /// The transport that the attempt built is the link, of the cluster of before or of another one.
    fn install(&mut self, pending: Pending, opened: Opened<I>, is_of_link: bool, effects: &mut Vec<Effect<E>>) {
        let generation = pending.number;
        let Opened { identity: shown, candidate, .. } = opened;
        if is_of_link {
            self.show(shown.clone(), true, false, effects);
        } else if let Some(replaced) = self.link.take() {
            self.fence_link(replaced, FenceReason::Replaced, effects);
        }
        let (identity, revision) = match self.link.take() {
            Some(link) => (link.identity, link.revision),
            None => (shown.clone(), None),
        };
        // The pool has shown nothing yet. Credentials that may not read the identity will not show it there either.
        self.doubted = std::mem::replace(&mut self.had_transport, true) && !shown.shows_less_than(&identity);
        self.hidden = None;
        let revision = revision.or_else(|| self.name(&identity, candidate));
        let link = Link { generation, identity, shown, revision, candidate };
        effects.push(Effect::Install { attempt: generation });
        link.serve(effects);
        self.link = Some(link);
    }

    pub(super) fn open_failed(&mut self, now: Now, attempt: u64, error: E, effects: &mut Vec<Effect<E>>) {
        if let Some(pending) = self.attempt.take_if(|pending| pending.number == attempt) {
            let renews = std::mem::take(&mut self.attempt_renews);
            self.attempt_failed(now, pending, renews, error, effects);
        }
    }

    /// The attempt failed. `renews`: that with the earlier configuration.
    fn attempt_failed(&mut self, now: Now, pending: Pending, renews: bool, error: E, effects: &mut Vec<Effect<E>>) {
        self.attempt_ended = Some(now.mono);
        if error.class() == Class::Transport {
            self.hidden.take_if(|hidden| hidden.on_new);
        }
        let failed = Outcome::Failed(error.clone());
        if renews || !self.unproven {
            self.expiry = self.expiry.map(|expiry| expiry.postponed(now, self.timing.renewal_retry));
            if self.requests.want_newer_by(pending.number) && error.class() == Class::Unauthorized {
                self.fruitless = self.fruitless.saturating_add(1);
            }
            self.requests.answer_newer(pending.number, &failed, effects);
        }
        if renews {
            self.error.get_or_insert(error);
        } else {
            let delay = self.backoff.after(error.class(), now.jitter);
            self.attempt_at = Some(now.mono + delay);
            self.requests.answer_attempt(pending.number, &failed, effects);
            self.error = Some(error);
        }
        self.renew_if_wanted(now);
        if pending.again {
            self.open(effects);
        } else if self.link.is_some() {
            // What it was to replace may be broken as well.
            self.probe_now(now, effects);
        }
    }

    /// Renews where a request still waits for newer credentials.
    fn renew_if_wanted(&mut self, now: Now) {
        if let Some(pause) = self.renewal_pause.filter(|_| self.requests.want_newer_by(u64::MAX)) {
            self.renew_after(pause, now);
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
        self.attempt_at = None;
        self.begin_attempt(false);
        effects.push(Effect::Open { attempt: self.attempts });
    }

    /// Begins an attempt with the configuration that the link was made by.
    pub(super) fn renew(&mut self, effects: &mut Vec<Effect<E>>) {
        self.renewal_at = None;
        self.begin_attempt(true);
        effects.push(Effect::Renew { attempt: self.attempts });
    }

    fn begin_attempt(&mut self, renews: bool) {
        self.attempts += 1;
        self.attempt_renews = renews;
        self.attempt = Some(Pending::new(self.attempts));
    }
}
