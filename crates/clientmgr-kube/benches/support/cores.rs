//! Threads on cores of their own: what it takes to tell how code scales, rather than where threads happened to run.
//!
//! A scheduler may start two threads on one core, and a virtual machine's two processors are now the two threads of a
//! single core, now cores that share a cache, now cores that do not. In the first case nothing is faster on two threads
//! and in the last nothing that shares memory is. So every thread is pinned to a processor, and what is measured on two
//! threads stands between two looks at the machine: where it did not have two cores with a common cache, the measurement
//! does not count.

#![expect(unreachable_pub, reason = "a module of a bench, which has no public interface")]

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use core_affinity::CoreId;

/// How many times the work of one thread two cores do at least, where the work shares nothing.
const TWO_CORES_FROM: f64 = 1.85;

/// How long it takes at most to hand a cache line to a core with which a cache is shared. Cores of one cluster take well
/// below 100 ns, those of different ones or of two sockets twice that.
const COMMON_CACHE_UP_TO: Duration = Duration::from_nanos(120);

/// The processors that measurements run on.
pub struct Cores {
    ids: Vec<CoreId>,
}

impl Cores {
    pub fn of_this_machine() -> Self {
        Self { ids: core_affinity::get_core_ids().unwrap_or_default() }
    }

    /// Makes a measurement, and returns whether it had two cores with a common cache from its start to its end. Does not
    /// wait for them: a bench ends on any machine.
    pub fn on_two<T>(&self, measure: impl FnOnce() -> T) -> (T, bool) {
        let before = self.are_two();
        let measured = measure();
        (measured, before && self.are_two())
    }

    /// How long `work`, which is told its thread's number, takes on `threads` threads at once: from when the first begins
    /// until the last is done. A thread that has no processor yet is waited for.
    pub fn time(&self, threads: usize, work: impl Fn(usize) + Sync) -> Duration {
        let start = &Barrier::new(threads);
        let (ids, work) = (&*self.ids, &work);
        let timed = move |thread: usize| {
            if let Some(id) = ids.get(thread) {
                core_affinity::set_for_current(*id);
            }
            let _foreign = take_foreign_blocks();
            start.wait();
            let begun = Instant::now();
            work(thread);
            (begun, Instant::now())
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|thread| scope.spawn(move || timed(thread))).collect();
            let times = workers.into_iter().map(|worker| worker.join().expect("no work panics"));
            let whole =
                times.reduce(|(begun, done), (also_begun, also_done)| (begun.min(also_begun), done.max(also_done)));
            let (begun, done) = whole.expect("there is a thread");
            done - begun
        })
    }

    /// Whether the machine now has two cores with a common cache for two threads.
    fn are_two(&self) -> bool {
        if self.ids.len() < 2 {
            return false;
        }
        let alone = (0..3).map(|_| self.time(1, arithmetic)).min().expect("there are three");
        let together = self.time(2, arithmetic);
        2.0 * alone.as_secs_f64() / together.as_secs_f64() >= TWO_CORES_FROM && self.hand_over() <= COMMON_CACHE_UP_TO
    }

    /// How long it takes to hand a cache line from one thread to the other.
    fn hand_over(&self) -> Duration {
        const TURNS: usize = 2_000;
        let turn = AtomicUsize::new(0);
        let took = self.time(2, |thread| {
            for mine in (thread..TURNS).step_by(2) {
                // No hint that this spins: it would take longer than what is measured.
                while turn.load(Ordering::Acquire) != mine {}
                turn.store(mine + 1, Ordering::Release);
            }
        });
        took / u32::try_from(TURNS).expect("a small number")
    }
}

/// Takes what an allocator would otherwise hand this thread again and again: the few blocks that whoever spawned it
/// allocated for it and that it has freed. They lie side by side with those of its sibling, so two threads that only ever
/// allocate and free would write to one cache line. To be held for as long as is measured.
fn take_foreign_blocks() -> Vec<Vec<u8>> {
    // An allocator keeps a thread's free blocks by size; the usual one keeps seven of each.
    let sizes = (16..=512).step_by(16);
    sizes.flat_map(|size| (0..8).map(move |_| Vec::with_capacity(size))).map(black_box).collect()
}

/// Keeps all of a core busy for a fraction of a millisecond, in registers alone.
fn arithmetic(_thread: usize) {
    let mut lanes = black_box([1_u64, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    for step in 0..100_000 {
        for lane in &mut lanes {
            *lane = lane.wrapping_add(step) ^ lane.rotate_left(7);
        }
    }
    black_box(lanes);
}
