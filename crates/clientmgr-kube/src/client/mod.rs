//! The client of a cluster: an HTTP stack with fixed credentials ([`Transport`]), and the switch and fence that keep one
//! `kube::Client` alive while transports come and go ([`Switch`]). What must not live here: when credentials are renewed,
//! and what a failed request says about the cluster. The member decides both.

mod body;
mod connections;
mod connector;
mod fence;
mod granted;
mod handle;
mod parts;
mod pool;
mod refusals;
mod repeat;
mod revoked;
mod settings;
mod spread;
mod stream;
mod switch;
mod tls;
mod transport;

pub(crate) use self::body::ResponseBody;
pub(crate) use self::connections::{Report, WeakConnections};
pub(crate) use self::handle::Handle;
pub use self::revoked::{Revoked, RevokedReason};
pub(crate) use self::settings::Settings;
pub(crate) use self::switch::{CredentialRequests, Switch};
pub(crate) use self::transport::Transport;
