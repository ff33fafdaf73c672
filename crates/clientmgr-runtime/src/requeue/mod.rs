//! Requeue: the objects that depend on a cluster are reconciled when it changes.
