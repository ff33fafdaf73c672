//! The fleet.
mod member;
