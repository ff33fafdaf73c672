//! Remote watches: one kind on the cluster of each object, bound to the revision of its connection.
