//! Credential files: what they hold ([`Stamp`]), and when it changes ([`FileWatch`]). What must not live here: what a file
//! means (`config`).

mod directories;
mod stamp;
mod watch;

pub(crate) use self::stamp::Stamp;
pub(crate) use self::watch::{FileWatch, FileWatcher};
