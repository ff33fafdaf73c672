//! The `Cluster` resource: how a hub declares a cluster, and what its status says of the connection.
