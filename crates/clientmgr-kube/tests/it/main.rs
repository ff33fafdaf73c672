//! The adapter against API servers that run in the test process: real HTTP and TLS, real kubeconfigs, real plugins.

#[cfg(unix)]
mod mounted;
mod support;
mod traffic;

mod addresses;
mod adoption;
mod bad_rotation;
mod clock;
mod controller;
// With OpenSSL each connection reads the system's trust store, a thousand of them for minutes.
#[cfg(feature = "rustls-tls")]
mod crowd;
mod crowd_of_plugins;
mod empty_fields;
mod flat;
mod fleet;
mod fleet_probe;
#[cfg(feature = "gzip")]
mod gzip;
mod hanging;
mod identity;
mod impersonation;
mod in_cluster;
mod kubeconfig;
mod kubeconfig_files;
mod laws;
mod lifecycle;
#[cfg(all(feature = "metrics", unix))]
mod metrics;
mod oidc;
mod outage;
mod plugin;
#[cfg(feature = "proxy")]
mod proxies;
mod renewal;
mod replacement;
mod residue;
mod rotation;
mod rotation_load;
mod runtime;
mod secrecy;
mod slips;
mod storm;
mod strange_servers;
// With OpenSSL there is no HTTP/2.
#[cfg(feature = "rustls-tls")]
mod streams;
mod subscribers;
mod token_file;
mod upgrades;
