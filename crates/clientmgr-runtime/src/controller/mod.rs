//! The controller of the `Cluster` resource: it connects what the resources declare, and writes their status.
