#![doc = include_str!("../README.md")]
//! ---
#![doc = include_str!("../KNOWN-DIFFERENCES.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod api;
mod clock;
mod control;
mod error;
mod pipeline;
mod pki;
#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
mod real;
mod registry;
mod server;
mod transport;
mod wire;

#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
pub use self::real::{
    any::{AnyServer, AnyServerBuilder, FromEnvError},
    real_error::RealError,
    server::{RealServer, RealServerBuilder},
};
pub use self::{
    access::{
        authz::Anonymous,
        credential::{Credential, Fingerprint, User},
    },
    control::{
        faults::{ConnectionFault, ConnectionInjection, Fault, Injection},
        injected::InjectionHandle,
        no_such_request::NoSuchRequest,
        record::{EndReason, Ended, Marker, RequestRecord},
        requests::{LogFilter, Requests, ResourceName, of},
    },
    error::{ClientError, InstallError, StartError},
    pipeline::body::{ConnectionCut, ResponseBody},
    pki::certificate_error::{CertificateError, NeedsTls},
    server::{
        actions::Replacement,
        builder::TestServerBuilder,
        handle::{Loopback, NoSocket, TestServer},
    },
    transport::socketless::{ServiceError, TestService},
};
