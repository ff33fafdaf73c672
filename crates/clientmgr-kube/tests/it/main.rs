//! The adapter against API servers that run in the test process: real HTTP and TLS, real kubeconfigs, real plugins.

mod support;

mod addresses;
mod controller;
mod empty_fields;
mod fleet;
mod fleet_probe;
mod hanging;
mod identity;
mod kubeconfig;
mod kubeconfig_files;
mod laws;
mod oidc;
mod plugin;
mod renewal;
mod residue;
mod runtime;
mod secrecy;
mod slips;
mod token_file;
