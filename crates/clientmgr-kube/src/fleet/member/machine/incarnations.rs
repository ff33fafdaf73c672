//! Incarnations: under which revision the cluster of a link is served, or that it is not.

use clientmgr_core::ConnectedAt;

use super::{Link, Machine};
use crate::config::Naming;
use crate::fleet::clock::Now;
use crate::fleet::member::event::{Effect, Expected, Fault, FenceReason, Known, Outcome, SameCluster};

impl<I> Link<I> {
    pub(super) fn serve<E>(&self, effects: &mut Vec<Effect<E>>) {
        if let Some(revision) = self.revision {
            effects.push(Effect::Serve { revision, generation: self.generation });
        }
    }
}

impl<I: SameCluster, E: Fault<I>> Machine<I, E> {
    /// What a request for a connection is answered by `link`.
    pub(super) fn outcome(&self, link: &Link<I>) -> Outcome<E> {
        link.revision.map_or_else(|| Outcome::Failed(self.why_unnamed(link)), Outcome::Served)
    }

    /// Why `link` has no revision.
    pub(super) fn why_unnamed(&self, link: &Link<I>) -> E {
        match self.expected.naming {
            Naming::AdoptOnly => E::unknown_incarnation(&link.identity),
            Naming::Mint => E::no_later_revision(),
        }
    }

    pub(super) fn adopted(&mut self, now: Now, expected: Expected<I>, effects: &mut Vec<Effect<E>>) {
        self.expected = expected;
        self.past.latest = self.past.latest.max(self.expected.known.as_ref().map(|known| known.revision));
        let Some(link) = self.link.clone() else {
            // A process that may not name incarnations waits for just this.
            if self.error.is_some() && self.attempt.is_none() {
                self.open(effects);
            }
            return;
        };
        if !self.has_pinned_identity(&link) {
            // One that is served stays in use until the cluster that is demanded was found.
            if link.revision.is_none() {
                self.drop_link(FenceReason::Replaced, effects);
            }
            self.open_now(effects);
            return;
        }
        self.follow_status(effects);
        // The connections went with the handle of before.
        if link.revision.is_some() && self.link.as_ref().is_some_and(|it| it.revision != link.revision) {
            self.probe_now(now, effects);
        }
    }

    fn has_pinned_identity(&self, link: &Link<I>) -> bool {
        self.expected.pin.as_ref().is_none_or(|pin| pin.same(&link.identity))
    }

    /// Serves the link under the revision that the status names for it. Call it when the status changed, or when more is known
    /// of the link's identity.
    pub(super) fn follow_status(&mut self, effects: &mut Vec<Effect<E>>) {
        let Some(link) = self.link.clone().filter(|link| self.has_pinned_identity(link)) else { return };
        match link.revision {
            None => {
                let named = self.name(&link.identity, link.candidate);
                self.serve_as(named, effects);
            }
            Some(revision) if self.is_superseded(&link) => {
                self.fence(revision, FenceReason::Replaced, effects);
                self.serve_as(None, effects);
            }
            Some(revision) => {
                if let Some(later) = self.adopted_revision(&link.identity).filter(|it| *it > revision) {
                    self.rename(later, effects);
                    // The connections that showed the identity went with the handle.
                    self.doubted = true;
                }
            }
        }
    }

    /// Whether the status names a later incarnation than that of `link`, and of another cluster. A process that names
    /// incarnations itself believes what it sees.
    fn is_superseded(&self, link: &Link<I>) -> bool {
        self.expected.naming == Naming::AdoptOnly
            && (self.expected.known.as_ref())
                .is_some_and(|known| Some(known.revision) > link.revision && !known.identity.same(&link.identity))
    }

    /// Gives the incarnation of the link another revision: the state that was built on the old one is dropped.
    pub(super) fn rename(&mut self, revision: ConnectedAt, effects: &mut Vec<Effect<E>>) {
        if let Some(before) = self.link.as_ref().and_then(|link| link.revision) {
            self.fence(before, FenceReason::Reset, effects);
        }
        self.past.latest = self.past.latest.max(Some(revision));
        self.serve_as(Some(revision), effects);
    }

    fn serve_as(&mut self, revision: Option<ConnectedAt>, effects: &mut Vec<Effect<E>>) {
        if let Some(link) = &mut self.link {
            link.revision = revision;
            link.serve(effects);
        }
    }

    /// Fences the handle of `link`, if it has one.
    pub(super) fn fence_link(&mut self, link: Link<I>, reason: FenceReason, effects: &mut Vec<Effect<E>>) {
        let Some(revision) = link.revision else { return };
        if reason == FenceReason::Replaced {
            self.left = Some(Known { identity: link.identity, revision });
        }
        self.fence(revision, reason, effects);
    }

    /// Fences the handle of `revision`. The connections are closed with it, so a probe under way would fail.
    fn fence(&mut self, revision: ConnectedAt, reason: FenceReason, effects: &mut Vec<Effect<E>>) {
        if reason != FenceReason::Removed {
            self.past.fenced = self.past.fenced.max(Some(revision));
        }
        effects.push(Effect::Fence { revision, reason });
        self.end_probe(effects);
    }

    /// The revision of an incarnation that has none here: an adopted one keeps its own, another one gets a later one, or
    /// none where this process only adopts.
    pub(super) fn name(&mut self, identity: &I, candidate: ConnectedAt) -> Option<ConnectedAt> {
        let reset = std::mem::take(&mut self.reset_due);
        match (self.adopted_revision(identity), self.expected.naming) {
            (_, Naming::Mint) if reset => self.mint(candidate),
            // An earlier one is a lagging read.
            (Some(revision), _) if self.past.latest <= Some(revision) && self.past.fenced < Some(revision) => {
                Some(revision)
            }
            // The very incarnation is back, and the writer never saw it go: this process was led elsewhere for a moment.
            (Some(revision), Naming::AdoptOnly)
                if self.past.latest <= Some(revision)
                    && self
                        .left
                        .as_ref()
                        .is_some_and(|left| left.revision == revision && is_shown(&left.identity, identity)) =>
            {
                // A member that follows this one may serve it too.
                self.past.fenced = None;
                Some(revision)
            }
            (_, Naming::AdoptOnly) => None,
            (_, Naming::Mint) => self.mint(candidate),
        }
    }

    /// The revision under which the cluster of `identity` is known.
    fn adopted_revision(&self, identity: &I) -> Option<ConnectedAt> {
        self.expected.known.as_ref().filter(|known| known.identity.same(identity)).map(|known| known.revision)
    }

    /// A revision later than every one that is known, whatever the clocks of the processes say. None at the end of the
    /// calendar, which a status may name.
    pub(super) fn mint(&mut self, candidate: ConnectedAt) -> Option<ConnectedAt> {
        let revision = match self.past.latest {
            Some(latest) if latest >= candidate => latest.next()?,
            _ => candidate,
        };
        self.past.latest = Some(revision);
        Some(revision)
    }
}

/// Whether the server that shows `found` is the cluster of `known`, and hides nothing of what is known.
fn is_shown<I: SameCluster>(known: &I, found: &I) -> bool {
    known.same(found) && !found.shows_less_than(known)
}
