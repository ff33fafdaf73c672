//! A value that is read at every call and written now and then.

#![expect(clippy::disallowed_types, reason = "the guards of its lock do not leave this file")]

use std::sync::PoisonError;

use crossbeam_utils::sync::ShardedLock;

/// Readers are spread over eight locks by their thread, so that few wait for another's cache line; a writer takes them
/// all.
#[derive(Default)]
pub(super) struct Shared<T> {
    value: ShardedLock<T>,
}

impl<T> Shared<T> {
    pub(super) fn new(value: T) -> Self {
        Self { value: ShardedLock::new(value) }
    }

    /// `read` runs under a lock, and delays a writer. If it panics, nothing is lost.
    pub(super) fn read<U>(&self, read: impl FnOnce(&T) -> U) -> U {
        read(&self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// `write` runs under all locks, and every reader and writer waits. If it panics, the value stays as it is by then.
    pub(super) fn write<U>(&self, write: impl FnOnce(&mut T) -> U) -> U {
        write(&mut self.value.write().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::Shared;

    #[test]
    fn a_panic_of_a_reader_or_a_writer_leaves_the_value_readable() {
        let shared = Shared::new(1);
        catch_unwind(AssertUnwindSafe(|| shared.read(|_| panic!("of a reader")))).unwrap_err();
        let writing = AssertUnwindSafe(|| {
            shared.write(|value| {
                *value = 2;
                panic!("of a writer")
            })
        });
        catch_unwind(writing).unwrap_err();
        shared.write(|value| *value += 1);
        assert_eq!(shared.read(|value| *value), 3);
    }
}
