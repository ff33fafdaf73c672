//! Renewals: while another configuration fails, where a pin is not met, and where they bring nothing.

use std::time::Duration;

use super::event::{Class, Effect, Event, Expected, FenceReason, Opened, Outcome, Request};
use super::machine_tests::{PAUSE, Script, opened, revision};
use super::model_identity::{Id, id, named};
use crate::fleet::timing::Expiry;

fn renewing(identity: u8) -> Opened<Id> {
    let expiry = Some(Expiry::new(Duration::from_secs(1_000), Duration::from_secs(2_000)));
    Opened { expiry, ..opened(identity) }
}

/// A link whose credentials end, and another configuration that fails.
fn with_a_bad_configuration() -> Script {
    let mut script = Script::new();
    script.tell(Event::Opened { attempt: 1, opened: renewing(1) });
    script.tell(Event::Configured(Expected::default()));
    script.tell(Event::OpenFailed { attempt: 2, error: Class::Config });
    script
}

#[test]
fn while_another_configuration_fails_the_one_in_use_renews_its_credentials() {
    let mut script = with_a_bad_configuration();
    let mut renewed = None;
    // The bad one is tried again now and then.
    for _ in 0..1_000 {
        let (_, effects) = script.wake();
        for effect in effects {
            match effect {
                Effect::Open { attempt } => {
                    script.tell(Event::OpenFailed { attempt, error: Class::Config });
                }
                Effect::Probe { probe, .. } => {
                    script.tell(Event::Probed { probe, identity: id(1) });
                }
                Effect::Renew { attempt } => renewed = Some((attempt, script.now.wall)),
                _ => {}
            }
        }
        if renewed.is_some() {
            break;
        }
    }
    let (attempt, at) = renewed.expect("the credentials are renewed");
    assert_eq!(at, Duration::from_secs(1_800), "at 80 % of their life");
    let effects = script.tell(Event::Opened { attempt, opened: opened(1) });
    let serve = Effect::Serve { revision: revision(1_000), generation: attempt };
    assert!(effects.starts_with(&[Effect::Install { attempt }, serve]), "{effects:?}");
    assert_eq!(script.machine.attempt_error(), Some(&Class::Config), "the bad one still shows");
    // And it is taken up once it is good.
    let (_, effects) = std::iter::repeat_with(|| script.wake())
        .find(|(_, effects)| effects.iter().any(|effect| matches!(effect, Effect::Open { .. })))
        .unwrap();
    let Some(Effect::Open { attempt }) = effects.into_iter().find(|it| matches!(it, Effect::Open { .. })) else {
        unreachable!()
    };
    script.tell(Event::Opened { attempt, opened: opened(1) });
    assert_eq!(script.machine.attempt_error(), None);
}

#[test]
fn a_401_while_another_configuration_fails_renews_the_one_in_use() {
    let mut script = with_a_bad_configuration();
    script.advance(PAUSE);
    let what = Request::NewerThan { generation: 1 };
    assert_eq!(script.tell(Event::Asked { request: 7, what }), [Effect::Renew { attempt: 3 }]);
    let effects = script.tell(Event::Opened { attempt: 3, opened: renewing(1) });
    assert!(effects.contains(&Effect::Answer { request: 7, outcome: Outcome::Served(revision(1_000)) }), "{effects:?}");
}

#[test]
fn a_renewal_that_fails_while_another_configuration_fails_is_answered() {
    let mut script = with_a_bad_configuration();
    script.advance(PAUSE);
    let what = Request::NewerThan { generation: 1 };
    script.tell(Event::Asked { request: 7, what });
    let effects = script.tell(Event::OpenFailed { attempt: 3, error: Class::Unauthorized });
    let outcome = Outcome::Failed(Class::Unauthorized);
    assert!(effects.contains(&Effect::Answer { request: 7, outcome }), "{effects:?}");
    assert_eq!(script.machine.attempt_error(), Some(&Class::Config));
}

#[test]
fn a_renewal_is_installed_where_the_configuration_that_fails_demands_another_cluster() {
    let mut script = Script::connected();
    script.tell(Event::Configured(Expected { pin: Some(named(2)), ..Expected::default() }));
    script.tell(Event::OpenFailed { attempt: 2, error: Class::Transport });
    script.advance(PAUSE);
    script.tell(Event::Asked { request: 7, what: Request::NewerThan { generation: 1 } });
    let effects = script.tell(Event::Opened { attempt: 3, opened: opened(1) });
    let serve = Effect::Serve { revision: revision(1_000), generation: 3 };
    assert!(effects.starts_with(&[Effect::Install { attempt: 3 }, serve]), "{effects:?}");
    assert_eq!(script.machine.attempt_error(), Some(&Class::Transport), "the cluster that is demanded was not found");
}

#[test]
fn a_configuration_that_fails_does_not_put_off_the_renewal_of_the_one_in_use() {
    let mut script = Script::new();
    script.tell(Event::Opened { attempt: 1, opened: renewing(1) });
    script.advance(Duration::from_secs(795));
    script.tell(Event::Configured(Expected::default()));
    script.tell(Event::OpenFailed { attempt: 2, error: Class::Config });
    script.tell(Event::Probed { probe: 1, identity: id(1) });
    assert_eq!(script.wake(), (Duration::from_secs(5), vec![Effect::Renew { attempt: 3 }]), "at 80 % of their life");
}

#[test]
fn a_configuration_that_fails_is_no_answer_to_a_request_that_was_refused() {
    let mut script = with_a_bad_configuration();
    script.tell(Event::Asked { request: 1, what: Request::Reconnect });
    script.tell(Event::Asked { request: 7, what: Request::NewerThan { generation: 1 } });
    // Another attempt with the bad configuration follows.
    script.tell(Event::Asked { request: 2, what: Request::Reconnect });
    let answers = |effects: Vec<Effect<Class>>| -> Vec<_> {
        let request = |effect| if let Effect::Answer { request, .. } = effect { Some(request) } else { None };
        effects.into_iter().filter_map(request).collect()
    };
    assert_eq!(answers(script.tell(Event::OpenFailed { attempt: 3, error: Class::Config })), [1]);
    assert_eq!(answers(script.tell(Event::OpenFailed { attempt: 4, error: Class::Config })), [2]);
    script.tell(Event::Probed { probe: 1, identity: id(1) });
    let (_, effects) = script.wake();
    let renewal = effects.iter().find_map(|it| if let Effect::Renew { attempt } = it { Some(*attempt) } else { None });
    let attempt = renewal.expect("the connection in use renews its credentials");
    assert_eq!(answers(script.tell(Event::Opened { attempt, opened: opened(1) })), [7]);
}

#[test]
fn a_pin_that_another_cluster_has_leaves_the_connection_in_use_until_that_is_found() {
    let mut script = Script::connected();
    let pinned = Expected { pin: Some(named(2)), ..Expected::default() };
    assert_eq!(script.tell(Event::Configured(pinned)), [Effect::Open { attempt: 2 }]);
    script.tell(Event::OpenFailed { attempt: 2, error: Class::Transport });
    assert_eq!(script.served(), Some(1_000));
    script.tell(Event::Asked { request: 1, what: Request::Reconnect });
    let effects = script.tell(Event::Opened { attempt: 3, opened: opened(2) });
    let fence = Effect::Fence { revision: revision(1_000), reason: FenceReason::Replaced };
    assert_eq!(effects[0], fence);
    assert_eq!(script.served(), Some(1_001));
}

#[test]
fn the_same_credentials_again_exchange_nothing() {
    let mut script = Script::connected();
    script.tell(Event::Asked { request: 1, what: Request::Reconnect });
    let effects = script.tell(Event::Opened { attempt: 2, opened: Opened { is_same: true, ..opened(1) } });
    let answer = Effect::Answer { request: 1, outcome: Outcome::Served(revision(1_000)) };
    assert_eq!(effects, [Effect::Confirm { attempt: 2 }, answer]);
}

#[test]
fn a_request_that_was_refused_while_the_same_credentials_were_loaded_has_them_loaded_again() {
    let mut script = Script::connected();
    script.tell(Event::FilesChanged);
    script.tell(Event::Asked { request: 7, what: Request::NewerThan { generation: 1 } });
    let effects = script.tell(Event::Opened { attempt: 2, opened: Opened { is_same: true, ..opened(1) } });
    assert_eq!(effects, [Effect::Confirm { attempt: 2 }]);
    let (slept, effects) = script.wake();
    assert_eq!((slept, effects), (PAUSE, vec![Effect::Open { attempt: 3 }]));
    let effects = script.tell(Event::Opened { attempt: 3, opened: opened(1) });
    assert!(effects.contains(&Effect::Answer { request: 7, outcome: Outcome::Served(revision(1_000)) }), "{effects:?}");
}

#[test]
fn refused_requests_that_renewals_do_not_help_ask_for_ever_fewer() {
    let mut script = Script::connected();
    let (mut loads, mut request) = (0, 0);
    for _ in 0..3_600 {
        script.advance(Duration::from_secs(1));
        request += 1;
        let mut effects = script.tell(Event::Asked { request, what: Request::NewerThan { generation: 1 } });
        effects.extend(script.tell(Event::Woke));
        for effect in effects {
            match effect {
                Effect::Open { attempt } => {
                    loads += 1;
                    script.tell(Event::Opened { attempt, opened: Opened { is_same: true, ..opened(1) } });
                }
                Effect::Probe { probe, .. } => {
                    script.tell(Event::Probed { probe, identity: id(1) });
                }
                _ => {}
            }
        }
    }
    assert!((30..90).contains(&loads), "{loads} loads in an hour");
    // Other credentials end that.
    script.tell(Event::FilesChanged);
    let attempt = loads + 2;
    script.tell(Event::Opened { attempt, opened: opened(1) });
    script.advance(PAUSE);
    let what = Request::NewerThan { generation: attempt };
    assert_eq!(script.tell(Event::Asked { request: 0, what }), [Effect::Open { attempt: attempt + 1 }]);
}

#[test]
fn a_request_that_was_refused_before_there_is_a_connection_waits_for_the_attempt() {
    let mut script = Script::new();
    let what = Request::NewerThan { generation: 0 };
    assert_eq!(script.tell(Event::Asked { request: 1, what }), []);
    let effects = script.tell(Event::Opened { attempt: 1, opened: opened(1) });
    assert!(effects.contains(&Effect::Answer { request: 1, outcome: Outcome::Served(revision(1_000)) }), "{effects:?}");
}

#[test]
fn only_a_renewal_that_a_401_asked_for_and_that_ends_in_one_counts_as_fruitless() {
    let refused = |request| Event::Asked { request, what: Request::NewerThan { generation: 1 } };
    let table = [
        (true, Class::Unauthorized, true),
        (true, Class::Transport, false),
        (false, Class::Unauthorized, false),
        (false, Class::Transport, false),
    ];
    for (asked, error, is_fruitless) in table {
        let mut script = Script::connected();
        script.advance(PAUSE);
        let effects = script.tell(if asked { refused(1) } else { Event::FilesChanged });
        assert_eq!(effects, [Effect::Open { attempt: 2 }]);
        script.tell(Event::OpenFailed { attempt: 2, error });
        let answered = script.tell(refused(2));
        let unchanged = Effect::Answer { request: 2, outcome: Outcome::Unchanged };
        let expected = if is_fruitless { vec![unchanged] } else { vec![] };
        assert_eq!(answered, expected, "asked {asked}, {error:?}");
    }
}
