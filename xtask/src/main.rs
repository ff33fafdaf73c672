//! Every developer habit of clientmgr as one command.
fn main() {}
