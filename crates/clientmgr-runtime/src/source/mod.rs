//! Sources: where the clusters of a fleet come from, other than the `Cluster` resource.
