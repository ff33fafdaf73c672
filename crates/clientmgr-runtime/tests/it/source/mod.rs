//! Sources, from the hub or a file to a connected cluster.

mod cluster_api;
mod cluster_profile;
mod files;
mod fixture;
mod hub;
mod rights;
mod secrets;
mod several;
