//! The adapter against API servers that run in the test process: real HTTP and TLS, real kubeconfigs, real plugins.

mod support;
mod traffic;

mod addresses;
mod adoption;
mod bad_rotation;
mod clock;
mod controller;
mod empty_fields;
mod flat;
mod fleet;
mod fleet_probe;
mod hanging;
mod identity;
mod kubeconfig;
mod kubeconfig_files;
mod laws;
mod lifecycle;
mod oidc;
mod outage;
mod plugin;
mod renewal;
mod replacement;
mod residue;
mod rotation;
mod rotation_load;
mod runtime;
mod secrecy;
mod slips;
mod storm;
mod subscribers;
mod token_file;
