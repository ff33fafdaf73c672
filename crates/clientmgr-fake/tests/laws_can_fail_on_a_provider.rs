//! Every law of providers is broken by some provider: one that does what real ones got wrong.

use std::collections::HashMap;
use std::future::{Future, poll_fn, ready};
use std::pin::Pin;
use std::sync::Mutex;
use std::task::Poll;

use clientmgr_core::{ClientProvider, ConnectedAt, Connection, NamespacedName, ProviderError};
use clientmgr_fake::laws::FakeSetup;
use clientmgr_fake::{FakeClientProvider, provider_laws};
use futures::FutureExt;
use futures::executor::block_on;

type Answer = Result<Connection<u32, ConnectedAt>, ProviderError>;

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// What is not known is reported as if it were known and had no connection.
    NotFoundIsUnavailable,
    /// What fails is reported as if it were not known.
    UnavailableIsNotFound,
    /// Every answer counts as a connection of its own.
    RevisionOfTheCall,
    /// The revision names the cluster and not the connection.
    RevisionOfTheCluster,
    /// Order is taken from something that shrinks.
    RevisionsRunBackwards,
    /// The answer is taken when the call is made.
    AnsweredTooEarly,
    /// The answer is taken at the first poll, and given at the third.
    AnsweredBeforeTheAwait,
    /// One client for all clusters.
    ClientOfTheFirstCluster,
    /// One cluster's trouble is everybody's.
    ContagiousFailure,
    /// An error, once seen, is cached for ever.
    StickyError,
    /// A client, once seen, is cached for ever.
    StickyClient,
    /// The connection is taken out of the map across an await, and put back after it.
    TakenAcrossTheAwait,
}

struct Faulty {
    fault: Fault,
    fake: FakeClientProvider<u32>,
    seen: Mutex<HashMap<NamespacedName, Answer>>,
    taken: Mutex<bool>,
}

impl Faulty {
    fn setup(fault: Fault) -> FakeSetup<Self> {
        FakeSetup::new(|fake| Self { fault, fake, seen: Mutex::default(), taken: Mutex::default() })
    }

    fn honest(&self, cluster: &NamespacedName) -> Answer {
        self.fake.connection(cluster).now_or_never().expect("nothing is held")
    }

    /// The first answer about `cluster` that `keep` says to keep, else the current one.
    fn sticky(&self, cluster: &NamespacedName, keep: impl Fn(&Answer) -> bool) -> Answer {
        let mut seen = self.seen.lock().unwrap();
        let kept = seen.get(cluster).cloned();
        kept.unwrap_or_else(|| {
            let answer = self.honest(cluster);
            if keep(&answer) {
                seen.insert(cluster.clone(), answer.clone());
            }
            answer
        })
    }

    fn answer(&self, cluster: &NamespacedName) -> Answer {
        let answer = self.honest(cluster);
        match self.fault {
            Fault::None | Fault::AnsweredTooEarly | Fault::AnsweredBeforeTheAwait | Fault::TakenAcrossTheAwait => {
                answer
            }
            Fault::NotFoundIsUnavailable => answer.map_err(|_| ProviderError::unavailable("no such cluster")),
            Fault::UnavailableIsNotFound => answer.map_err(|_| ProviderError::NotFound),
            Fault::RevisionOfTheCall => {
                answer.map(|connection| Connection { revision: ConnectedAt::now(), ..connection })
            }
            Fault::RevisionOfTheCluster => {
                let first = self.sticky(cluster, Answer::is_ok)?;
                answer.map(|connection| Connection { revision: first.revision, ..connection })
            }
            Fault::RevisionsRunBackwards => answer.map(|connection| {
                let mirrored = 4_000_000_000_000_000 - connection.revision.as_unix_micros();
                let revision = ConnectedAt::from_unix_micros(mirrored).expect("a time before the year 2100");
                Connection { revision, ..connection }
            }),
            Fault::ClientOfTheFirstCluster => {
                let first = self.honest(&NamespacedName::new("fleet", "east"));
                answer.map(|connection| Connection {
                    client: first.map_or(connection.client, |first| first.client),
                    ..connection
                })
            }
            Fault::ContagiousFailure => {
                self.honest(&NamespacedName::new("fleet", "east"))?;
                answer
            }
            Fault::StickyError => {
                self.sticky(cluster, |answer| matches!(answer, Err(ProviderError::Unavailable { .. })))
            }
            Fault::StickyClient => self.sticky(cluster, Answer::is_ok),
        }
    }

    /// Answers at the second poll. A call that comes between the two polls finds nothing.
    async fn answer_across_an_await(&self, cluster: &NamespacedName) -> Answer {
        if std::mem::replace(&mut *self.taken.lock().unwrap(), true) {
            return Err(ProviderError::unavailable("taken by another call"));
        }
        pending_once().await;
        *self.taken.lock().unwrap() = false;
        self.answer(cluster)
    }

    async fn answer_from_before_an_await(&self, cluster: &NamespacedName) -> Answer {
        let answer = self.answer(cluster);
        pending_once().await;
        pending_once().await;
        answer
    }
}

/// Completes at the second poll.
async fn pending_once() {
    let mut polled = false;
    poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

impl ClientProvider for Faulty {
    type Client = u32;
    type Key = NamespacedName;
    type Revision = ConnectedAt;

    fn connection<'a, 'b, 'f>(
        &'a self,
        cluster: &'b NamespacedName,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send + 'f>>
    where
        'a: 'f,
        'b: 'f,
    {
        match self.fault {
            Fault::AnsweredTooEarly => Box::pin(ready(self.answer(cluster))),
            Fault::AnsweredBeforeTheAwait => Box::pin(self.answer_from_before_an_await(cluster)),
            Fault::TakenAcrossTheAwait => Box::pin(self.answer_across_an_await(cluster)),
            _ => Box::pin(async { self.answer(cluster) }),
        }
    }
}

/// The double is a provider as long as it has no fault: what the laws find is the fault.
mod without_a_fault {
    use super::*;
    provider_laws!(Faulty::setup(Fault::None), block_on);
}

/// A skipped law does not fail, and the others run.
mod skipped {
    use super::*;
    provider_laws!(
        Faulty::setup(Fault::RevisionsRunBackwards),
        block_on,
        skip = [a_later_connection_never_has_an_older_revision = "the revisions of this provider run backwards"],
        deadline = std::time::Duration::from_secs(30),
    );
}

macro_rules! broken {
    ($($law:ident by $fault:ident says $message:literal;)+) => {$(
        #[test]
        #[should_panic(expected = $message)]
        fn $law() {
            block_on(clientmgr_fake::laws::unstable::provider::$law(Faulty::setup(Fault::$fault)));
        }
    )+};
}

mod broken {
    use super::*;

    broken! {
        an_unknown_cluster_is_not_found by NotFoundIsUnavailable says "must be not found";
        an_unchanged_connection_keeps_its_revision by RevisionOfTheCall says "but its revision changed";
        a_replacement_has_a_new_revision by RevisionOfTheCluster says "which an earlier one had";
        a_cluster_added_again_has_a_new_revision by RevisionOfTheCluster says "which an earlier one had";
        a_later_connection_never_has_an_older_revision by RevisionsRunBackwards says "use unordered revisions";
        a_call_returns_the_connection_that_is_current_when_it_completes by AnsweredTooEarly says "answered with another revision";
        clusters_do_not_share_clients by ClientOfTheFirstCluster says "have the same client";
        a_failing_cluster_has_an_error_with_a_source by UnavailableIsNotFound says "does not say why";
        a_failing_cluster_does_not_affect_others by ContagiousFailure says "but the provider has no client";
        a_recovered_cluster_has_a_client by StickyError says "but the provider has no client";
        a_removed_cluster_is_not_found by StickyClient says "after it was removed";
        a_dropped_call_changes_nothing by TakenAcrossTheAwait says "taken by another call";
        concurrent_calls_agree by TakenAcrossTheAwait says "taken by another call";
    }
}

/// Laws that can be broken in a second way.
mod broken_otherwise {
    use super::*;

    broken! {
        a_call_returns_the_connection_that_is_current_when_it_completes by AnsweredBeforeTheAwait says "polled 1 times completed after the connection was replaced";
    }
}
