//! Probes: when they begin, and what follows from their answers for the health of the link.

use super::{Health, Likeness, Machine, Pending, Via};
use crate::fleet::clock::Now;
use crate::fleet::member::event::{Class, Effect, Fault, FenceReason, Outcome, SameCluster};

impl<I: SameCluster, E: Fault<I>> Machine<I, E> {
    pub(super) fn probed(&mut self, now: Now, probe: u64, identity: Option<I>, effects: &mut Vec<Effect<E>>) {
        let Some(pending) = self.probe.take_if(|pending| pending.number == probe) else { return };
        if let Some(identity) = identity {
            match self.compare(now, &identity) {
                Likeness::Same => self.show(identity),
                Likeness::Other => {
                    self.drop_link(FenceReason::Replaced, effects);
                    self.open_now(effects);
                    return;
                }
                Likeness::Untold(error) => {
                    self.probe = Some(pending);
                    self.probe_failed(now, probe, error, effects);
                    return;
                }
            }
        }
        if self.probe_via == Via::Pool && std::mem::take(&mut self.check_due) {
            self.start_probe(now, pending, Via::Check, effects);
            return;
        }
        self.passed(now, pending, effects);
    }

    /// The probe, with what followed it under its number, showed the link's cluster.
    fn passed(&mut self, now: Now, pending: Pending, effects: &mut Vec<Effect<E>>) {
        let Some(link) = &self.link else { return };
        if self.probe_via == Via::Fresh {
            effects.push(Effect::InstallFresh);
            link.serve(effects);
        }
        let outcome = link.outcome();
        self.health = Health::Healthy;
        self.probe_at = Some(self.timing.next_probe(now));
        self.requests.answer_probes(pending.number, &outcome, effects);
        if pending.again {
            self.begin_probe(now, effects);
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
        self.doubted |= class == Class::Transport && self.probe_via != Via::Check;
        if let (Some(link), true) = (&self.link, self.probe_via == Via::Fresh && class != Class::Transport) {
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
                    self.begin_probe(now, effects);
                }
                return;
            }
            // Perhaps only the pooled connection is dead.
            Class::Transport if self.probe_via == Via::Pool => {
                self.start_probe(now, pending, Via::Fresh, effects);
                return;
            }
            // The pooled connections answered, and new ones lead nowhere.
            Class::Transport if self.probe_via == Via::Check => {
                self.passed(now, pending, effects);
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
            self.begin_probe(now, effects);
        }
    }

    /// Compares what a server showed with what is known of the cluster: of the link, or where there is none of the
    /// incarnation that the status names.
    ///
    /// After a connection broke, a server that no longer says which cluster it is may be another one behind the address,
    /// or the same while it starts. So it is neither, until it says so, or has been ready without saying it for a while.
    pub(super) fn compare(&mut self, now: Now, found: &I) -> Likeness<E> {
        let (known, is_same) = match (&self.link, &self.expected.known) {
            (Some(link), _) => {
                let is_same = link.identity.same(found);
                (Some(&link.identity).filter(|_| self.doubted || !is_same), is_same)
            }
            // A reset gives up what is known.
            (None, known) => (known.as_ref().map(|known| &known.identity).filter(|_| !self.reset_due), true),
        };
        let Some(known) = known.filter(|known| found.shows_less_than(known)) else {
            self.untold_since = None;
            return if is_same { Likeness::Same } else { Likeness::Other };
        };
        let error = E::untold(known);
        if !found.is_ready() {
            self.untold_since = None;
            return Likeness::Untold(error);
        }
        let since = *self.untold_since.get_or_insert(now.mono);
        if now.mono >= since + self.timing.untold_grace() { Likeness::Other } else { Likeness::Untold(error) }
    }

    /// The link's cluster showed `identity`.
    pub(super) fn show(&mut self, identity: I) {
        let Some(link) = &mut self.link else { return };
        // What broke during the probe may have broken after this was asked.
        self.doubted &= self.broke_during_probe || identity.shows_less_than(&link.identity);
        link.shown = identity.clone();
        link.identity = link.identity.clone().merged(identity);
    }

    /// A connection of the transport of `generation` broke.
    pub(super) fn broken(&mut self, now: Now, generation: u64, effects: &mut Vec<Effect<E>>) {
        if self.link.as_ref().is_none_or(|link| link.generation != generation) {
            return;
        }
        self.doubted = true;
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
            self.begin_probe(now, effects);
        } else if self.probe_at.is_none_or(|at| earliest < at) {
            self.breaks += 1;
            self.probe_at = Some(earliest);
        }
    }

    /// Begins a probe at once, or has another one follow the one under way.
    pub(super) fn probe_now(&mut self, now: Now, effects: &mut Vec<Effect<E>>) {
        match &mut self.probe {
            Some(pending) => pending.again = true,
            None => self.begin_probe(now, effects),
        }
    }

    pub(super) fn begin_probe(&mut self, now: Now, effects: &mut Vec<Effect<E>>) {
        let via = match &self.health {
            // The pooled connections had their deadline already, and a mute server must be noticed soon.
            Health::Failing { error, .. } | Health::Down { error, .. } if error.class() == Class::Transport => {
                Via::Fresh
            }
            _ => Via::Pool,
        };
        self.probes += 1;
        self.start_probe(now, Pending { number: self.probes, again: false }, via, effects);
    }

    /// Begins a probe, or repeats one on another connection under the same number: requests wait for both.
    fn start_probe(&mut self, now: Now, pending: Pending, via: Via, effects: &mut Vec<Effect<E>>) {
        self.probe_began = Some(now.mono);
        self.probe_at = None;
        self.probe_via = via;
        self.broke_during_probe = false;
        self.probe = Some(pending);
        effects.push(Effect::Probe { probe: pending.number, fresh: via != Via::Pool });
    }

    pub(super) fn end_probe(&mut self, effects: &mut Vec<Effect<E>>) {
        if let Some(pending) = self.probe.take() {
            effects.push(Effect::AbortProbe { probe: pending.number });
        }
    }
}
