//! `Api`, patches, events, discovery and waiting.

use std::time::Duration;

use k8s_openapi::{
    api::{coordination::v1::Lease, events::v1::Event as StoredEvent},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, CustomResourceExt as _, Discovery, Resource as _, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{
        conditions,
        events::{Event, EventType, Recorder, Reporter},
        wait::{await_condition, delete::delete_and_finalize},
    },
};
use serde_json::json;

use super::widget::{Widget, map, maps, sized, widgets};
use crate::{
    case::Case,
    test::{Outcome, tests},
};

tests![
    a_typed_object_makes_the_round_trip,
    a_replace_of_an_old_version_is_a_conflict_one_can_tell,
    a_spec_and_a_status_are_applied,
    a_derived_definition_is_established,
    objects_of_any_kind_can_be_dynamic,
    discovery_finds_kinds,
    pages_are_followed,
    a_deletion_can_be_awaited,
    an_event_is_recorded_once_and_then_counted,
    a_lease_is_taken_by_one,
    a_server_returns_its_version,
];

async fn a_typed_object_makes_the_round_trip(case: Case) -> Outcome {
    let widgets = widgets(&case).await;
    let made = widgets.create(&PostParams::default(), &sized("w", 1)).await?;
    assert_eq!(
        (made.spec.size, made.status.as_ref(), made.namespace()),
        (Some(1), None, Some(case.namespace().into()))
    );
    let read = widgets.get("w").await?;
    assert_eq!((read.uid(), read.resource_version()), (made.uid(), made.resource_version()));
    assert!(widgets.get_opt("none").await?.is_none());
    assert_eq!(widgets.list(&ListParams::default()).await?.items.len(), 1);
    Ok(())
}

async fn a_replace_of_an_old_version_is_a_conflict_one_can_tell(case: Case) -> Outcome {
    let widgets = widgets(&case).await;
    let mut old = widgets.create(&PostParams::default(), &sized("w", 1)).await?;
    let mut new = old.clone();
    new.spec.size = Some(2);
    widgets.replace("w", &PostParams::default(), &new).await?;
    old.spec.size = Some(3);
    let refused = widgets.replace("w", &PostParams::default(), &old).await.expect_err("it is old");
    assert!(matches!(&refused, kube::Error::Api(status) if status.is_conflict()), "{refused:?}");
    let taken = widgets.create(&PostParams::default(), &sized("w", 1)).await.expect_err("it is taken");
    assert!(matches!(&taken, kube::Error::Api(status) if status.is_already_exists()), "{taken:?}");
    let missing = widgets.get("none").await.expect_err("it is missing");
    assert!(matches!(&missing, kube::Error::Api(status) if status.is_not_found()), "{missing:?}");
    Ok(())
}

async fn a_spec_and_a_status_are_applied(case: Case) -> Outcome {
    let widgets = widgets(&case).await;
    let manager = PatchParams::apply("conformance-controller");
    let made = widgets.patch("w", &manager, &Patch::Apply(sized("w", 1))).await?;
    assert_eq!(made.spec.size, Some(1));
    let status = json!({
        "apiVersion": Widget::api_version(&()), "kind": Widget::kind(&()), "status": {"ready": true},
    });
    let after = widgets.patch_status("w", &manager, &Patch::Apply(status)).await?;
    assert_eq!(after.status.and_then(|status| status.ready), Some(true));
    let other = PatchParams::apply("somebody-else");
    let refused = widgets.patch("w", &other, &Patch::Apply(sized("w", 2))).await.expect_err("it is owned");
    assert!(matches!(&refused, kube::Error::Api(status) if status.is_conflict()), "{refused:?}");
    let forced = widgets.patch("w", &other.force(), &Patch::Apply(sized("w", 2))).await?;
    assert_eq!((forced.spec.size, forced.status.and_then(|status| status.ready)), (Some(2), Some(true)));
    Ok(())
}

mod derived {
    //! A resource that only the test of its definition uses.

    #[derive(kube::CustomResource, schemars::JsonSchema, serde::Serialize, serde::Deserialize, Clone, Debug)]
    #[kube(group = "derived.example.com", version = "v1", kind = "Gadget", namespaced)]
    pub(super) struct GadgetSpec {
        pub(super) weight: i32,
    }
}

async fn a_derived_definition_is_established(case: Case) -> Outcome {
    let definitions: Api<CustomResourceDefinition> = Api::all(case.client().await);
    let definition = derived::Gadget::crd();
    let manager = PatchParams::apply("conformance").force();
    definitions.patch(&definition.name_any(), &manager, &Patch::Apply(&definition)).await?;
    await_condition(definitions, &definition.name_any(), conditions::is_crd_established()).await?;
    case.eventually("/apis/derived.example.com/v1/gadgets", |answer| answer.code == 200).await;
    let gadgets: Api<derived::Gadget> = Api::default_namespaced(case.client().await);
    let gadget = derived::Gadget::new("g", derived::GadgetSpec { weight: 7 });
    assert_eq!(gadgets.create(&PostParams::default(), &gadget).await?.spec.weight, 7);
    Ok(())
}

async fn objects_of_any_kind_can_be_dynamic(case: Case) -> Outcome {
    case.widgets().await;
    let kind = GroupVersionKind::gvk("conformance.example.com", "v1", "Widget");
    let resource = ApiResource::from_gvk_with_plural(&kind, "widgets");
    let widgets: Api<DynamicObject> = Api::default_namespaced_with(case.client().await, &resource);
    let wanted = DynamicObject::new("w", &resource).data(json!({"spec": {"size": 4}}));
    assert_eq!(widgets.create(&PostParams::default(), &wanted).await?.data["spec"]["size"], 4);
    Ok(())
}

async fn discovery_finds_kinds(case: Case) -> Outcome {
    case.widgets().await;
    case.eventually("/apis/conformance.example.com/v1", |answer| answer.code == 200).await;
    let kind = GroupVersionKind::gvk("conformance.example.com", "v1", "Widget");
    let discovery = Discovery::new(case.client().await).filter(&["conformance.example.com", "apps"]).run().await?;
    let (resource, capabilities) = discovery.resolve_gvk(&kind).ok_or("the kind")?;
    assert_eq!(resource.plural, "widgets");
    assert!(capabilities.supports_operation(kube::discovery::verbs::WATCH));
    assert!(discovery.has_group("apps"));
    let aggregated = Discovery::new(case.client().await).run_aggregated().await?;
    assert!(aggregated.has_group("apps") && aggregated.has_group("apiextensions.k8s.io"));
    Ok(())
}

async fn pages_are_followed(case: Case) -> Outcome {
    let maps = maps(&case).await;
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &map(name, "1")).await?;
    }
    let mut names = Vec::new();
    let mut params = ListParams::default().limit(1);
    loop {
        let page = maps.list(&params).await?;
        names.extend(page.items.iter().map(kube::ResourceExt::name_any));
        let Some(token) = page.metadata.continue_.filter(|token| !token.is_empty()) else { break };
        params = params.continue_token(&token);
    }
    assert_eq!(names, ["a", "b", "c"]);
    Ok(())
}

async fn a_deletion_can_be_awaited(case: Case) -> Outcome {
    let maps = maps(&case).await;
    let made = maps.create(&PostParams::default(), &map("a", "1")).await?;
    let uid = made.uid().ok_or("a UID")?;
    delete_and_finalize(maps.clone(), "a", &DeleteParams::default()).await?;
    await_condition(maps, "a", conditions::is_deleted(&uid)).await?;
    Ok(())
}

async fn an_event_is_recorded_once_and_then_counted(case: Case) -> Outcome {
    let widgets = widgets(&case).await;
    let about = widgets.create(&PostParams::default(), &sized("w", 1)).await?.object_ref(&());
    let recorder = Recorder::new(case.client().await, Reporter::from("conformance-controller"));
    let event = Event {
        type_: EventType::Normal,
        reason: "Connected".to_owned(),
        note: Some("the cluster answers".to_owned()),
        action: "Connect".to_owned(),
        secondary: None,
    };
    recorder.publish(&event, &about).await?;
    let events: Api<StoredEvent> = Api::default_namespaced(case.client().await);
    let stored = events.list(&ListParams::default()).await?.items;
    let [one] = stored.as_slice() else { return Err(format!("one event and not {}", stored.len()).into()) };
    assert_eq!((one.reason.as_deref(), one.note.as_deref()), (Some("Connected"), Some("the cluster answers")));
    assert_eq!(one.regarding.as_ref().and_then(|object| object.name.as_deref()), Some("w"));
    assert!(one.series.is_none());
    recorder.publish(&event, &about).await?;
    let stored = events.list(&ListParams::default()).await?.items;
    assert_eq!(stored.len(), 1, "it is counted and not written again");
    assert!(stored[0].series.as_ref().is_some_and(|series| series.count >= 1), "{:?}", stored[0].series);
    Ok(())
}

async fn a_lease_is_taken_by_one(case: Case) -> Outcome {
    let leases: Api<Lease> = Api::default_namespaced(case.client().await);
    let lease: Lease = serde_json::from_value(json!({
        "metadata": {"name": "leader"},
        "spec": {
            "holderIdentity": "nobody", "leaseDurationSeconds": Duration::from_secs(15).as_secs(),
            "renewTime": "2026-01-01T00:00:00.000000Z",
        },
    }))?;
    let free = leases.create(&PostParams::default(), &lease).await?;
    let claim = |who: &str| {
        let mut lease = free.clone();
        lease.spec.get_or_insert_default().holder_identity = Some(who.to_owned());
        lease
    };
    leases.replace("leader", &PostParams::default(), &claim("one")).await?;
    let late = leases.replace("leader", &PostParams::default(), &claim("two")).await.expect_err("it is taken");
    assert!(matches!(&late, kube::Error::Api(status) if status.is_conflict()), "{late:?}");
    let holder = leases.get("leader").await?.spec.and_then(|spec| spec.holder_identity);
    assert_eq!(holder.as_deref(), Some("one"));
    Ok(())
}

async fn a_server_returns_its_version(case: Case) -> Outcome {
    assert_eq!(case.client().await.apiserver_version().await?.major, "1");
    Ok(())
}
