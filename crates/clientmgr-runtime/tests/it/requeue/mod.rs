//! Requeue: the streams on scripted events, and a controller over a fleet of real connections.

mod controller;
mod streams;
pub(crate) mod support;
