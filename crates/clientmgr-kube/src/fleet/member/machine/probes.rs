//! Probes: when they begin, and what follows from their answers for the health of the link.

use super::{Health, Machine, Pending};
use crate::fleet::clock::Now;
use crate::fleet::member::event::{Class, Effect, Fault, FenceReason, Outcome, SameCluster};

impl<I: SameCluster, E: Fault<I>> Machine<I, E> {
    pub(super) fn probed(&mut self, now: Now, probe: u64, identity: Option<I>, effects: &mut Vec<Effect<E>>) {
        let Some(pending) = self.probe.take_if(|pending| pending.number == probe) else { return };
        let Some(link) = &mut self.link else { return };
        if let Some(identity) = identity {
            if !identity.same(&link.identity) {
                self.drop_link(FenceReason::Replaced, effects);
                self.open_now(effects);
                return;
            }
            link.identity = link.identity.clone().merged(identity);
        }
        if self.probe_is_fresh {
            effects.push(Effect::InstallFresh);
            link.serve(effects);
        }
        let outcome = link.outcome();
        self.health = Health::Healthy;
        self.probe_at = Some(self.timing.next_probe(now));
        self.requests.answer_probes(probe, &outcome, effects);
        if pending.again {
            self.begin_probe(now, false, effects);
        } else if std::mem::take(&mut self.broke_during_probe) {
            self.probe_after_break(now, effects);
        }
    }

    pub(super) fn probe_failed(&mut self, now: Now, probe: u64, error: E, effects: &mut Vec<Effect<E>>) {
        let Some(pending) = self.probe.take_if(|pending| pending.number == probe) else { return };
        if self.link.is_none() {
            return;
        }
        let class = error.class();
        if let (Some(link), true) = (&self.link, self.probe_is_fresh && class != Class::Transport) {
            // The server answers on a fresh connection: the pooled ones are dead.
            effects.push(Effect::InstallFresh);
            link.serve(effects);
        }
        match class {
            // The server lives and said nothing against the connection.
            Class::Throttled { retry_after } => {
                self.probe_at = Some(self.timing.next_probe(now).max(now.mono + retry_after.unwrap_or_default()));
                self.requests.answer_probes(probe, &Outcome::Failed(error), effects);
                if pending.again {
                    self.begin_probe(now, false, effects);
                }
                return;
            }
            Class::Transport if !self.probe_is_fresh => {
                // Perhaps only the pooled connection is dead.
                self.begin_probe(now, true, effects);
                if let Some(repeat) = &mut self.probe {
                    repeat.again = pending.again;
                }
                return;
            }
            // The earlier configuration has no backoff of its own: the pause is one.
            Class::Unauthorized if self.unproven => {
                if let Some(pause) = self.renewal_pause {
                    self.renew_after(pause, now);
                }
            }
            // A renewal that failed is tried again by its backoff, and not for every probe.
            Class::Unauthorized if self.attempt.is_some() || self.attempt_at.is_none() => {
                if let Some(pause) = self.renewal_pause {
                    self.requests.probes_wait_for_attempt(self.attempts + u64::from(self.attempt.is_none()));
                    if self.attempt.is_none() {
                        self.renew_after(pause, now);
                    }
                }
            }
            _ => {}
        }
        let failures = match &self.health {
            Health::Healthy => 1,
            Health::Failing { failures, .. } => failures + 1,
            Health::Down { failures, .. } => failures.saturating_add(1),
        };
        self.requests.answer_probes(probe, &Outcome::Failed(error.clone()), effects);
        self.probe_at = Some(self.timing.next_probe_after(failures, now));
        self.health = if failures >= self.timing.failure_threshold {
            Health::Down { failures, error }
        } else {
            Health::Failing { failures, error }
        };
        if pending.again {
            self.begin_probe(now, false, effects);
        }
    }

    /// A connection of the transport of `generation` broke.
    pub(super) fn broken(&mut self, now: Now, generation: u64, effects: &mut Vec<Effect<E>>) {
        if self.link.as_ref().is_none_or(|link| link.generation != generation) {
            return;
        }
        if self.probe.is_some() {
            // What the probe has asked so far may be the answer of the server before.
            self.broke_during_probe = true;
        } else {
            self.probe_after_break(now, effects);
        }
    }

    /// Probes at once, or a little later where breaks follow each other: a server may close each connection after its
    /// answer, and every probe would bring the next.
    fn probe_after_break(&mut self, now: Now, effects: &mut Vec<Effect<E>>) {
        if self.broke_at.is_none_or(|at| now.mono >= at + self.timing.probe_interval) {
            self.breaks = 0;
        }
        self.broke_at = Some(now.mono);
        let spacing =
            self.timing.probe_spacing.saturating_mul(1 << self.breaks.min(10)).min(self.timing.probe_interval);
        let earliest = self.probe_began.map_or(now.mono, |began| now.mono.max(began + spacing));
        if earliest <= now.mono {
            self.breaks += 1;
            self.begin_probe(now, false, effects);
        } else if self.probe_at.is_none_or(|at| earliest < at) {
            self.breaks += 1;
            self.probe_at = Some(earliest);
        }
    }

    /// Begins a probe at once, or has another one follow the one under way.
    pub(super) fn probe_now(&mut self, now: Now, effects: &mut Vec<Effect<E>>) {
        match &mut self.probe {
            Some(pending) => pending.again = true,
            None => self.begin_probe(now, false, effects),
        }
    }

    pub(super) fn begin_probe(&mut self, now: Now, fresh: bool, effects: &mut Vec<Effect<E>>) {
        // The repeat of a probe keeps its number's place: requests wait for both.
        self.probes += u64::from(!fresh);
        self.probe_began = Some(now.mono);
        self.probe_at = None;
        self.probe_is_fresh = fresh;
        self.broke_during_probe = false;
        self.probe = Some(Pending { number: self.probes, again: false });
        effects.push(Effect::Probe { probe: self.probes, fresh });
    }

    pub(super) fn end_probe(&mut self, effects: &mut Vec<Effect<E>>) {
        if let Some(pending) = self.probe.take() {
            effects.push(Effect::AbortProbe { probe: pending.number });
        }
    }
}
