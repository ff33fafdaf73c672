//! Probes: when they begin, and what follows from their answers for the health of the link.

use super::{Comparison, Health, Hidden, Machine, Pending, Via};
use crate::client::Report;
use crate::fleet::clock::Now;
use crate::fleet::member::event::{Class, Effect, Fault, FenceReason, Outcome, SameCluster};

impl<I: SameCluster, E: Fault<I>> Machine<I, E> {
    pub(super) fn probed(&mut self, now: Now, probe: u64, identity: I, effects: &mut Vec<Effect<E>>) {
        let Some(pending) = self.probe.take_if(|pending| pending.number == probe) else { return };
        let is_check = self.probe_via == Via::Check;
        // The pool has just shown more, so new connections lead elsewhere.
        self.doubted |= is_check && self.link.as_ref().is_some_and(|link| identity.shows_less_than(&link.shown));
        let check_follows = self.probe_via == Via::Pool && self.check_due;
        // A fresh connection takes the place of a pool that lost its connections.
        let is_empty = pending.emptied && self.probe_via != Via::Fresh;
        let on_new = self.probe_via != Via::Pool;
        match self.compare(now, &identity, on_new) {
            Comparison::Same => {
                let ends_doubt = !pending.broke && !is_empty && !check_follows;
                self.show(identity, on_new, ends_doubt, effects);
            }
            Comparison::Other => {
                self.drop_link(FenceReason::Replaced, effects);
                self.open_now(effects);
                return;
            }
            Comparison::Failed(error) => {
                self.probe = Some(pending);
                self.probe_failed(now, probe, error, effects);
                return;
            }
        }
        if check_follows {
            self.start_probe(now, pending, Via::Check, effects);
            return;
        }
        if is_check {
            self.check_due = pending.widened;
        }
        self.passed(now, pending, effects);
    }

    /// The probe, with what followed it under its number, showed the link's cluster.
    fn passed(&mut self, now: Now, pending: Pending, effects: &mut Vec<Effect<E>>) {
        if self.probe_via == Via::Fresh {
            self.install_fresh(effects);
        }
        let Some(link) = &self.link else { return };
        let outcome = self.outcome(link);
        self.health = Health::Healthy;
        self.probe_at = Some(self.timing.next_probe(now));
        self.requests.answer_probes(pending.number, &outcome, effects);
        if pending.again {
            self.begin_probe(now, effects);
        } else {
            self.probe_after_reports(now, pending, effects);
        }
    }

    /// The server answers on a fresh connection, so requests leave the pooled ones, with what these reported.
    fn install_fresh(&mut self, effects: &mut Vec<Effect<E>>) {
        let Some(link) = &self.link else { return };
        effects.push(Effect::InstallFresh);
        link.serve(effects);
        self.check_due = false;
    }

    pub(super) fn probe_failed(&mut self, now: Now, probe: u64, error: E, effects: &mut Vec<Effect<E>>) {
        let Some(pending) = self.probe.take_if(|pending| pending.number == probe) else { return };
        if self.link.is_none() {
            return;
        }
        let class = error.class();
        if class == Class::Transport {
            let is_check = self.probe_via == Via::Check;
            self.doubted |= !is_check;
            // A server that is away has not been ready for a while.
            self.hidden.take_if(|hidden| !is_check || hidden.on_new);
        }
        if self.probe_via == Via::Fresh && error.is_answer() {
            self.install_fresh(effects);
        }
        match (class, self.probe_via) {
            // Perhaps only the pooled connection is dead.
            (Class::Transport, Via::Pool) => self.start_probe(now, pending, Via::Fresh, effects),
            // The pooled connections answered, and new ones lead nowhere: the check stays due.
            (Class::Transport, Via::Check) => self.passed(now, pending, effects),
            (Class::Throttled { .. }, _) => self.throttled(now, pending, error, effects),
            (Class::Unauthorized, _) => {
                self.renew_refused(now);
                self.count_failure(now, pending, error, effects);
            }
            _ => self.count_failure(now, pending, error, effects),
        }
    }

    /// The server lives and said nothing against the connection. A probe is no load: what the server asks for beyond the
    /// interval would hide an outage.
    fn throttled(&mut self, now: Now, pending: Pending, error: E, effects: &mut Vec<Effect<E>>) {
        self.probe_at = Some(self.timing.next_probe(now));
        self.requests.answer_probes(pending.number, &Outcome::Failed(error), effects);
        self.probe_after_failure(now, pending, true, effects);
    }

    /// The server refused the credentials of a probe. There may be others.
    fn renew_refused(&mut self, now: Now) {
        let Some(pause) = self.renewal_pause else { return };
        if self.unproven {
            // The earlier configuration has no backoff of its own: the pause is one.
            self.renew_after(pause, now);
        } else if self.attempt.is_some() || self.attempt_at.is_none() {
            // The one under way, or else the next one.
            self.requests.probes_wait_for_attempt(self.attempts);
            if self.attempt.is_none() {
                self.renew_after(pause, now);
            }
        }
        // Else a renewal failed. It is tried again by its backoff, and not for every probe.
    }

    fn count_failure(&mut self, now: Now, pending: Pending, error: E, effects: &mut Vec<Effect<E>>) {
        let failures = match &self.health {
            Health::Healthy => 1,
            Health::Failing { failures, .. } => failures + 1,
            Health::Down { failures, .. } => failures.saturating_add(1),
        };
        self.requests.answer_probes(pending.number, &Outcome::Failed(error.clone()), effects);
        self.probe_at = Some(self.timing.next_probe_after(failures, now));
        let is_down = failures >= self.timing.failure_threshold;
        self.health = if is_down { Health::Down { failures, error } } else { Health::Failing { failures, error } };
        // Below the threshold the next probe is soon, and each one counts.
        self.probe_after_failure(now, pending, is_down, effects);
    }

    /// Begins the probe that was asked for meanwhile, or where `probes_breaks`, one for a connection that broke.
    fn probe_after_failure(&mut self, now: Now, pending: Pending, probes_breaks: bool, effects: &mut Vec<Effect<E>>) {
        if pending.again {
            self.begin_probe(now, effects);
        } else if pending.broke && probes_breaks {
            self.probe_after(now, Report::Broken, effects);
        }
    }

    /// Compares what a server showed with what is known of the cluster: of the link, or where there is none of the
    /// incarnation that the status names.
    ///
    /// After a connection broke, a server that no longer says which cluster it is may be another one behind the address,
    /// or the same while it starts. So it is neither, until it says so, or has been ready without saying it for a while.
    /// `on_new`: the server was asked over a new connection.
    pub(super) fn compare(&mut self, now: Now, found: &I, on_new: bool) -> Comparison<E> {
        let (known, is_same) = match (&self.link, &self.expected.known) {
            (Some(link), _) => {
                let is_same = link.identity.same(found);
                (Some(&link.identity).filter(|_| self.doubted || !is_same), is_same)
            }
            // A reset gives up what is known.
            (None, known) => (known.as_ref().map(|known| &known.identity).filter(|_| !self.reset_due), true),
        };
        let Some(known) = known.filter(|known| found.shows_less_than(known)) else {
            return if is_same { Comparison::Same } else { Comparison::Other };
        };
        let error = E::identity_hidden(known);
        if !found.is_ready() {
            self.hidden = None;
            return Comparison::Failed(error);
        }
        let since = self.hidden.map_or(now.mono, |hidden| hidden.since);
        self.hidden = Some(Hidden { since, on_new });
        if now.mono >= since + self.timing.hidden_grace() { Comparison::Other } else { Comparison::Failed(error) }
    }

    /// The link's cluster showed `identity`, over a new connection or one of the pool. Where that is all, it `ends_doubt`.
    pub(super) fn show(&mut self, identity: I, on_new: bool, ends_doubt: bool, effects: &mut Vec<Effect<E>>) {
        let Some(link) = &mut self.link else { return };
        if !identity.shows_less_than(&link.identity) {
            self.doubted &= !ends_doubt;
            // The pool shows nothing of where new connections lead.
            self.hidden = self.hidden.filter(|hidden| self.doubted && hidden.on_new && !on_new);
        }
        let shows_more = link.identity.shows_less_than(&identity);
        link.shown = identity.clone();
        link.identity = link.identity.clone().merged(identity);
        if shows_more {
            self.follow_status(effects);
        }
    }

    /// Something happened to the connections of the pool in use.
    pub(super) fn reported(&mut self, now: Now, report: Report, effects: &mut Vec<Effect<E>>) {
        if self.link.is_none() {
            return;
        }
        let under_way = [&mut self.attempt, &mut self.probe].into_iter().flatten();
        match report {
            Report::Broken => {
                self.doubted = true;
                under_way.for_each(|pending| pending.broke = true);
            }
            Report::Widened => {
                self.check_due = true;
                under_way.for_each(|pending| pending.widened = true);
            }
            Report::Emptied => {
                self.doubted = true;
                under_way.for_each(|pending| pending.emptied = true);
                // Nothing failed: the next probe opens another connection.
                return;
            }
        }
        if self.probe.is_none() {
            self.probe_after(now, report, effects);
        }
    }

    /// Probes after what `pending` left open: a connection that broke meanwhile, or a check that is due.
    pub(super) fn probe_after_reports(&mut self, now: Now, pending: Pending, effects: &mut Vec<Effect<E>>) {
        if pending.broke {
            self.probe_after(now, Report::Broken, effects);
        } else if self.check_due {
            self.probe_after(now, Report::Widened, effects);
        }
    }

    /// Probes at once, or later where reports of this kind follow each other.
    fn probe_after(&mut self, now: Now, report: Report, effects: &mut Vec<Effect<E>>) {
        let pace = if report == Report::Broken { &mut self.breaks } else { &mut self.checks };
        let earliest = pace.call(now, self.probe_began, &self.timing);
        if earliest <= now.mono {
            pace.brought_one();
            self.begin_probe(now, effects);
        } else if self.probe_at.is_none_or(|at| earliest < at) {
            pace.brought_one();
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
        self.start_probe(now, Pending::new(self.probes), via, effects);
    }

    /// Begins a probe, or repeats one on another connection under the same number: requests wait for both.
    fn start_probe(&mut self, now: Now, pending: Pending, via: Via, effects: &mut Vec<Effect<E>>) {
        self.probe_began = Some(now.mono);
        self.probe_at = None;
        self.probe_via = via;
        // A check begins after what broke, and leaves an empty pool empty.
        self.probe = Some(Pending { again: pending.again, emptied: pending.emptied, ..Pending::new(pending.number) });
        effects.push(Effect::Probe { probe: pending.number, fresh: via != Via::Pool });
    }

    pub(super) fn end_probe(&mut self, effects: &mut Vec<Effect<E>>) {
        if let Some(pending) = self.probe.take() {
            effects.push(Effect::AbortProbe { probe: pending.number });
        }
    }
}
