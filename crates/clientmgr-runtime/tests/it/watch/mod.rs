//! Remote watches on members in this process, whose log shows what was asked.

mod controller;
mod failures;
mod lifetime;
mod outage;
mod page;
mod rules;
mod support;
mod triggers;
