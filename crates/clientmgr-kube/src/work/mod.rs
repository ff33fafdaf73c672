//! Work that can hang: run apart, with a deadline. What must not live here: what the work is about.

mod admission;
mod blocking;
mod deadline;
mod tasks;

pub(crate) use self::admission::{Admission, Record};
pub(crate) use self::blocking::{BlockingWorker, catch};
pub(crate) use self::deadline::Deadline;
pub(crate) use self::tasks::Tasks;
