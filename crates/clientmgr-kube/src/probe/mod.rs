//! Asking a server who it is and whom it takes us for.

mod verify;
