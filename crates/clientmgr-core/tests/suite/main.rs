//! The proof of the core: the table of the rules, the promises one by one, random schedules against an oracle, threads.

mod bound;
mod bound_endings;
mod bound_machine;
mod common;
mod forgotten;
mod machine;
mod manager;
mod table;
mod threads;
