//! What a request means: the functional core of the server.
//!
//! A request goes down these layers, and none imports from one above it:
//!
//! - `entry`: the way in
//! - `verbs`: which part of the API a request is for, and what each verb does with its query and body
//! - `change`: creates, updates and deletes, and what follows from them
//! - `present`: how objects are shown: lists, watches, tables, discovery
//! - `merge`: patches and apply, and the owners of fields
//! - `object`: what is valid in an object, and what the server fills in
//! - `store`: the objects and their history
//!
//! **Architecture invariant:** every change goes through one lock of one store, and none of what is done under it can
//! wait.

mod change;
pub(crate) mod entry;
mod merge;
mod object;
pub(crate) mod present;
pub(crate) mod reply;
mod store;
mod verbs;

#[cfg(test)]
mod tests;
