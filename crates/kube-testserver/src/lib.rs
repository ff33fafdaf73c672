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
//! use kube_testserver::{ApiServer, Fault, Logged, Requests};
//! use k8s_openapi::api::core::v1::ConfigMap;
//! use kube::{Api, api::PostParams};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = ApiServer::builder().name("member-1").start().await?;
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
//! let failed = server.wait_for(Logged::from(Requests::to("configmaps")).status(503)).await;
//! assert_eq!(failed.user.as_deref(), Some("admin"));
//! assert_eq!(server.requests_matching(Logged::any().with(new.fingerprint())).len(), 0);
//!
//! server.shutdown().await; // no task, no socket is left
//! # Ok(())
//! # }
//! ```
//!
//! # Without a socket
//!
//! [`ApiServerBuilder::start_without_socket`] opens no port and spawns nothing: it suits tests that pause the
//! clock, and those only are meant to (a paused clock runs ahead whenever all tasks wait, and waiting for a socket
//! counts as waiting). [`ApiServer::service`] gives the same on a server that has a socket too.
//!
//! # What goes wrong on demand
//!
//! - credentials: [expire](ApiServer::issue_expiring_token), [revoked](ApiServer::revoke),
//!   [rotated](ApiServer::rotate_token), [forbidden](ApiServer::forbid)
//! - requests: [`Fault`], from a 401 to an answer that never comes
//! - connections: [`ConnectionFault`], [`cut_connections`](ApiServer::cut_connections),
//!   [`silence_connections`](ApiServer::silence_connections), [`stop`](ApiServer::stop)
//! - watches: [ended](ApiServer::end_watches), silent, cut, [behind a compaction](ApiServer::compact)
//! - the cluster itself: [not ready](ApiServer::set_ready), [replaced](ApiServer::replace)
//!
//! # Knowingly different from a real API server
//!
//! | here | there |
//! |---|---|
//! | every authenticated user may do everything that no [`forbid`](ApiServer::forbid) forbids | RBAC |
//! | access reviews: `SelfSubjectAccessReview` alone, for the usual verbs | four reviews, for any verb |
//! | a client certificate is one this server issued; its subject names the user's first group only | any certificate of the client authority |
//! | impersonation is for `system:masters`; faults and the log know the one who impersonates | allowed by RBAC; audited as both |
//! | no session is resumed: every connection is a full TLS handshake | sessions are resumed |
//! | an idle connection and a slow head have [one limit](ApiServerBuilder::head_timeout); an idle HTTP/2 connection stays open | 90 s idle, 32 s for a head |
//! | schemas of core types other than ConfigMap, Secret and Lease: unknown fields are kept, most fields are neither defaulted nor validated | enforced |
//! | empty maps and lists of core types are kept as sent, except metadata and the data of ConfigMaps and Secrets | left out |
//! | CEL rules have no cost limit, and lack `sortBy`, `cel.bind` and two-argument comprehensions; a rule is not type-checked when it is declared | limited, complete, checked |
//! | `fieldValidation` finds the unknown fields of custom resources, ConfigMaps, Secrets and Leases | those of all types and fields given twice too |
//! | versions of a custom resource differ in `apiVersion` only | conversion webhooks |
//! | nothing collects garbage, so foreground and orphaning deletes leave their finalizer; a deleted namespace empties itself and goes at once | controllers do both, a while later |
//! | definitions are established when the request that made them is answered | a moment later |
//! | a resource version of the future is refused at once | after three seconds |
//! | the history is ten thousand changes of each kind | five minutes |
//! | `$setElementOrder` and `$retainKeys` of a patch are not checked against the rest of it | checked, and refused where they do not fit |
//! | answers are JSON: a client that accepts only YAML or protobuf gets a 406; YAML bodies are read | YAML and protobuf answers too |
//! | most protobuf bodies, `/openapi/v2`, `scale` of Deployments, `log`, `exec`, … are refused | served |

mod access;
mod api;
mod control;
mod error;
mod pipeline;
mod pki;
mod registry;
mod server;
mod transport;
mod wire;

pub use self::{
    access::{
        authz::Anonymous,
        credential::{Credential, Fingerprint, User},
    },
    control::{
        faults::{ConnectionFault, ConnectionInjection, Fault, Injection},
        orders::Standing,
        record::{EndReason, Ended, Logged, Marker, RequestRecord},
        requests::Requests,
    },
    error::{ClientError, DeclareError, StartError},
    pipeline::body::{ConnectionCut, ResponseBody},
    pki::error::{CertificateError, NeedsTls},
    server::{
        actions::Replacement,
        builder::ApiServerBuilder,
        handle::{ApiServer, Loopback, NoSocket},
    },
    transport::socketless::{ApiService, ServiceError},
};
