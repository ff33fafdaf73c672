//! Two candidates and a server, under every mix of clocks that drift, pauses, slow and lost requests and answers. At no
//! time do both believe to be the leader.

use std::time::Duration;

use proptest::prelude::*;

use super::machine::{Machine, Step};
use super::record::{Record, Versioned};
use super::timings::LeaseTimings;

/// A candidate's clock: it counts `rate` thousandths of the true time, from an offset of its own.
#[derive(Clone, Copy, Debug)]
struct Clock {
    offset: u64,
    rate: u64,
}

impl Clock {
    fn at(self, truth: u64) -> Duration {
        Duration::from_micros(self.offset * 1000 + truth * self.rate)
    }
}

/// What happens next: time passes, then one candidate makes one step.
#[derive(Clone, Copy, Debug)]
struct Event {
    milliseconds: u64,
    candidate: usize,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// The candidate runs: it sends what the machine asks for, unless a request is under way.
    Run,
    /// The request under way reaches the server; its answer is then under way.
    Arrive,
    /// The answer under way reaches the candidate. Where the request has not arrived, the candidate gives it up.
    Answer,
    /// The answer is lost, or the candidate gives up the request: it sees a failure.
    Lose,
    /// The candidate shuts down, reads the lease, and sends its release; a successor of the same Pod starts with another
    /// identity.
    Release,
    /// One of the writes that the candidate no longer waits for reaches the server: one that it gave up, or a release.
    Late,
}

#[derive(Debug)]
struct Request {
    sent: Duration,
    step: Step,
    /// The server's answer, once it has arrived there.
    answer: Option<Answer>,
}

#[derive(Clone, Debug)]
enum Answer {
    Found(Option<Versioned>),
    Stored(Versioned),
    Conflict,
}

#[derive(Debug, Default)]
struct Server {
    lease: Option<Versioned>,
    writes: u64,
}

impl Server {
    fn handle(&mut self, step: &Step) -> Answer {
        match step {
            Step::Write { record, version } => self.write(record, version.as_deref()),
            _ => Answer::Found(self.lease.clone()),
        }
    }

    fn write(&mut self, record: &Record, version: Option<&str>) -> Answer {
        if self.lease.as_ref().map(|lease| lease.version.as_str()) != version {
            return Answer::Conflict;
        }
        self.writes += 1;
        let stored = Versioned { record: record.clone(), version: self.writes.to_string() };
        self.lease = Some(stored.clone());
        Answer::Stored(stored)
    }
}

struct Candidate {
    clock: Clock,
    machine: Machine,
    request: Option<Request>,
    /// Writes under way whose answers are not awaited.
    late: Vec<Step>,
}

impl Candidate {
    /// Takes the request under way. A write that has not arrived may still do so.
    fn give_up(&mut self) -> Option<Request> {
        let request = self.request.take()?;
        if request.answer.is_none() && matches!(request.step, Step::Write { .. }) {
            self.late.push(request.step.clone());
        }
        Some(request)
    }

    fn make(&mut self, what: What, truth: u64, server: &mut Server, successors: &mut u32) {
        let now = self.clock.at(truth);
        match what {
            What::Run => {
                if self.request.is_none() {
                    let step = self.machine.next(now);
                    if !matches!(step, Step::Wait { .. }) {
                        self.request = Some(Request { sent: now, step, answer: None });
                    }
                }
            }
            What::Arrive => {
                if let Some(request) = &mut self.request
                    && request.answer.is_none()
                {
                    request.answer = Some(server.handle(&request.step));
                }
            }
            What::Answer | What::Lose => {
                let Some(request) = self.give_up() else { return };
                let answer = request.answer.filter(|_| matches!(what, What::Answer));
                match answer {
                    Some(Answer::Found(found)) => self.machine.read(now, found),
                    Some(Answer::Stored(stored)) => self.machine.written(request.sent, now, stored),
                    Some(Answer::Conflict) => self.machine.conflicted(now),
                    None if request.step == Step::Read => self.machine.read_failed(now),
                    None => self.machine.write_failed(now),
                }
            }
            What::Release => {
                self.machine.resign();
                self.give_up();
                if let Some((record, version)) = server.lease.as_ref().and_then(|found| self.machine.release(found)) {
                    self.late.push(Step::Write { record, version: Some(version) });
                }
                *successors += 1;
                self.machine = Machine::new(format!("successor-{successors}"), LeaseTimings::default());
            }
            What::Late => {
                if !self.late.is_empty() {
                    let any = usize::try_from(truth).unwrap() % self.late.len();
                    server.handle(&self.late.swap_remove(any));
                }
            }
        }
    }
}

/// Runs the events, and returns how often leadership was seen at each candidate, or the time at which both had it.
fn run(clocks: [Clock; 2], events: &[Event]) -> Result<[u32; 2], u64> {
    let candidate = |name: &str, clock| Candidate {
        clock,
        machine: Machine::new(name.into(), LeaseTimings::default()),
        request: None,
        late: Vec::new(),
    };
    let mut candidates = [candidate("a", clocks[0]), candidate("b", clocks[1])];
    let (mut server, mut truth, mut led, mut successors) = (Server::default(), 0, [0, 0], 0);
    for event in events {
        truth += event.milliseconds;
        candidates[event.candidate].make(event.what, truth, &mut server, &mut successors);
        // Leadership begins only at an event, so an overlap is seen at the event at which it begins.
        let leads = candidates.each_ref().map(|it| it.machine.is_leader(it.clock.at(truth)));
        if leads == [true, true] {
            return Err(truth);
        }
        for (count, leads) in led.iter_mut().zip(leads) {
            *count += u32::from(leads);
        }
    }
    Ok(led)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let milliseconds = prop_oneof![8 => 0..200_u64, 4 => 200..3_000_u64, 1 => 3_000..40_000_u64];
    let what = prop_oneof![
        8 => Just(What::Run),
        8 => Just(What::Arrive),
        8 => Just(What::Answer),
        1 => Just(What::Lose),
        1 => Just(What::Release),
        2 => Just(What::Late),
    ];
    let event = (milliseconds, 0..2_usize, what);
    let event = event.prop_map(|(milliseconds, candidate, what)| Event { milliseconds, candidate, what });
    prop::collection::vec(event, 1..400)
}

/// Rates between 0.82 and 1.22: no clock is faster than the other by 1.5.
fn clocks() -> impl Strategy<Value = [Clock; 2]> {
    let clock = (0..1_000_000_u64, 820..=1_220_u64).prop_map(|(offset, rate)| Clock { offset, rate });
    [clock.clone(), clock]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_candidates_never_lead_at_the_same_time(clocks in clocks(), events in events()) {
        prop_assert!(run(clocks, &events).is_ok());
    }
}

/// Each candidate runs without a fault, twice a second.
fn faultless(candidate: usize, seconds: u64) -> impl Iterator<Item = Event> {
    let steps = [What::Run, What::Arrive, What::Answer];
    (0..seconds * 2).flat_map(move |_| {
        steps.into_iter().enumerate().map(move |(index, what)| Event {
            milliseconds: if index == 0 { 500 } else { 0 },
            candidate,
            what,
        })
    })
}

const PERFECT: Clock = Clock { offset: 0, rate: 1000 };

#[test]
fn the_second_takes_over_when_the_first_stops() {
    let events: Vec<_> = faultless(0, 20).chain(faultless(1, 40)).collect();
    let led = run([PERFECT, PERFECT], &events).unwrap();
    assert!(led[0] > 0 && led[1] > 0, "{led:?}");
}

#[test]
fn a_release_hands_over_at_once_though_a_renewal_that_was_under_way_arrives_after_it() {
    let step = |milliseconds, what| Event { milliseconds, candidate: 0, what };
    // At 6 s the renewal and the release are under way, in this order. An odd time takes the second one first.
    let ended = [(0, What::Run), (0, What::Release), (1, What::Late), (0, What::Late)];
    let ended = ended.map(|(milliseconds, what)| step(milliseconds, what));
    let events = || faultless(0, 4).chain([step(2_000, What::Answer)]);
    let led = run([PERFECT, PERFECT], &events().chain(ended).chain(faultless(1, 3)).collect::<Vec<_>>()).unwrap();
    assert!(led[1] > 0, "{led:?}");
    // Without the release the second one waits until the lease expires.
    let led = run([PERFECT, PERFECT], &events().chain(faultless(1, 3)).collect::<Vec<_>>()).unwrap();
    assert_eq!(led[1], 0);
}

#[test]
fn with_clocks_beyond_the_factor_both_can_lead() {
    // The simulation finds what it looks for: the first clock almost stands still.
    let clocks = [Clock { offset: 0, rate: 500 }, Clock { offset: 0, rate: 1_000 }];
    let events: Vec<_> = faultless(0, 2).chain(faultless(1, 40)).collect();
    assert!(run(clocks, &events).is_err());
}
