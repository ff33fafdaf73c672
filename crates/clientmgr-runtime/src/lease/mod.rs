//! Leader election by a `Lease`: which of several replicas writes.
