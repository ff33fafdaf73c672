//! A Kubernetes API server that runs inside the test process.
//!
//! Real HTTP/1.1, HTTP/2 and TLS on a loopback port, or a bare tower service under a paused clock; several at once;
//! with tokens and client certificates that can expire and be revoked, with faults on demand, with another
//! cluster put in its place, and with a log of every request and the credential that made it.
//!
//! It is a test double and not a second Kubernetes. It does a chosen part as the real one does it and refuses
//! the rest with a 501 that says what is missing.
//!
//! The part is what a controller's client can tell apart: how objects are made, changed, watched and deleted, who
//! is let in, and what goes wrong on the way. What a cluster does with objects is left out on purpose: there is no
//! admission, no RBAC, no conversion, no controller manager, no scheduler and no kubelet, nothing is kept on disk,
//! and no program but the test's runs. A behaviour comes in with a test in the conformance suite, which is the
//! same for a real server; one that would need a second opinion of what Kubernetes means stays a 501.
//!
//! ```
//! use kube_testserver::{TestServer, Fault, Logged, Requests};
//! use k8s_openapi::api::core::v1::ConfigMap;
//! use kube::{Api, api::PostParams};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = TestServer::builder().name("member-1").start().await?;
//!
//! // A client of the administrator; `kubeconfig()` leads to the same server.
//! let maps: Api<ConfigMap> = Api::default_namespaced(server.client().await?);
//! let mut map = ConfigMap::default();
//! map.metadata.name = Some("greeting".to_owned());
//! maps.create(&PostParams::default(), &map).await?;
//!
//! // Somebody else, whose token is rotated: the old one is refused at once.
//! let old = server.issue_token("alice");
//! let alices: Api<ConfigMap> = Api::default_namespaced(server.client_for(&old).await?);
//! alices.get("greeting").await?;
//! let new = server.rotate_token(&old, Duration::ZERO);
//! let refused = alices.get("greeting").await.unwrap_err();
//! assert!(matches!(refused, kube::Error::Api(status) if status.code == 401));
//!
//! // A fault for the next list, and the log to prove what happened.
//! server.inject(Fault::Unavailable.on(Requests::any().verb("list")).times(1));
//! assert!(maps.list(&Default::default()).await.is_err());
//! let failed = server.wait_for(Requests::to("configmaps").status(503)).await;
//! assert_eq!(failed.user.as_deref(), Some("admin"));
//! assert_eq!(server.requests_matching(Requests::any().with(new.fingerprint())).len(), 0);
//!
//! server.shutdown().await; // no task, no socket is left
//! # Ok(())
//! # }
//! ```
//!
//! # Without a socket
//!
//! [`TestServerBuilder::start_without_socket`] opens no port and spawns nothing: it suits tests that pause the
//! clock, and those only are meant to (a paused clock runs ahead whenever all tasks wait, and waiting for a socket
//! counts as waiting). [`TestServer::service`] gives the same on a server that has a socket too.
//!
//! # What goes wrong on demand
//!
//! - credentials: [expire](TestServer::issue_expiring_token), [revoked](TestServer::revoke),
//!   [rotated](TestServer::rotate_token), [forbidden](TestServer::forbid)
//! - requests: [`Fault`], from a 401 to an answer that never comes
//! - connections: [`ConnectionFault`], [`cut_connections`](TestServer::cut_connections),
//!   [`silence_connections`](TestServer::silence_connections), [`stop`](TestServer::stop)
//! - watches: [ended](TestServer::end_watches), silent, cut, [behind a compaction](TestServer::compact)
//! - the cluster itself: [not ready](TestServer::set_ready), [replaced](TestServer::replace)
//!
//! # Knowingly different from a real API server
//!
//! | here | there |
//! |---|---|
//! | every authenticated user may do everything that no [`forbid`](TestServer::forbid) forbids | RBAC |
//! | access reviews: `SelfSubjectAccessReview` alone, for the usual verbs | four reviews, for any verb |
//! | a client certificate is one this server issued; its subject names the user's first group only | any certificate of the client authority |
//! | impersonation is for `system:masters`; faults and the log know the one who impersonates | allowed by RBAC; audited as both |
//! | no session is resumed: every connection is a full TLS handshake | sessions are resumed |
//! | an idle connection and a slow head have [one limit](TestServerBuilder::head_timeout); an idle HTTP/2 connection stays open | 90 s idle, 32 s for a head |
//! | schemas of core types: unknown fields are kept, most fields are neither defaulted nor validated | enforced |
//! | empty maps and lists of core types are kept as sent, except metadata and the data of ConfigMaps and Secrets | left out |
//! | schemas of custom resources are stored and not enforced; unknown fields are kept, defaults not filled in | enforced, unknown fields pruned, defaults filled in |
//! | `fieldValidation` finds the unknown fields of custom resources | those of core types and fields given twice too |
//! | versions of a custom resource differ in `apiVersion` only | conversion webhooks |
//! | nothing collects garbage, so foreground and orphaning deletes leave their finalizer; a deleted namespace empties itself and goes at once | controllers do both, a while later |
//! | definitions are established when the request that made them is answered | a moment later |
//! | a resource version of the future is refused at once | after three seconds |
//! | the history is ten thousand changes of each kind | five minutes |
//! | `$setElementOrder` and `$retainKeys` of a patch are not checked against the rest of it | checked, and refused where they do not fit |
//! | a field of a custom resource that applies have emptied stays as `{}` | may go |
//! | the items of core lists carry `kind` and `apiVersion` | left out |
//! | answers are JSON: a client that accepts only YAML or protobuf gets a 406; YAML bodies are read | YAML and protobuf answers too |
//! | most protobuf bodies, `/openapi/v2`, `scale`, `log`, `exec`, … are refused | served |

mod access;
mod api;
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
    any::{AnyServer, FromEnvError},
    error::RealError,
    server::{RealServer, RealServerBuilder},
};
pub use self::{
    access::{
        authz::Anonymous,
        credential::{Credential, Fingerprint, User},
    },
    control::{
        faults::{ConnectionFault, ConnectionInjection, Fault, Injection},
        orders::InjectionHandle,
        record::{EndReason, Ended, Marker, RequestRecord},
        requests::{Logged, Requests, ResourceName, of},
    },
    error::{ClientError, InstallError, StartError},
    pipeline::body::{ConnectionCut, ResponseBody},
    pki::error::{CertificateError, NeedsTls},
    server::{
        actions::Replacement,
        builder::TestServerBuilder,
        handle::{Loopback, NoSocket, TestServer},
    },
    transport::socketless::{ServiceError, TestService},
};
