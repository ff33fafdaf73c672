//! Controllers and finalizers, in a test's namespace.

use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    runtime::{
        Controller, conditions,
        controller::Action,
        finalizer::{self, finalizer},
        wait::await_condition,
        watcher,
    },
};
use serde_json::json;
use tokio::{sync::mpsc, task::JoinHandle};

use super::widget::{Widget, maps, sized, widgets};
use crate::{
    case::Case,
    test::{Outcome, tests},
};

tests![
    a_controller_reconciles_what_is_made_and_changed,
    a_controller_brings_back_what_it_owns,
    a_controller_may_stream_the_list,
    a_finalizer_cleans_up_before_the_object_goes,
];

const MANAGER: &str = "conformance-controller";
const FINALIZER: &str = "conformance.example.com/cleanup";

struct Context {
    client: Client,
    reconciled: mpsc::UnboundedSender<i32>,
}

/// Ends a task with the test.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Writes a map with the widget's size, owned by the widget, and says in the status that it is there.
async fn reconcile(widget: Arc<Widget>, context: Arc<Context>) -> Result<Action, kube::Error> {
    let namespace = widget.namespace().unwrap_or_default();
    let manager = PatchParams::apply(MANAGER).force();
    let size = widget.spec.size.unwrap_or_default();
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": widget.name_any(), "ownerReferences": [widget.controller_owner_ref(&())]},
        "data": {"size": size.to_string()},
    });
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
    maps.patch(&widget.name_any(), &manager, &Patch::Apply(map)).await?;
    let status = json!({
        "apiVersion": Widget::api_version(&()), "kind": Widget::kind(&()), "status": {"ready": true},
    });
    let widgets: Api<Widget> = Api::namespaced(context.client.clone(), &namespace);
    widgets.patch_status(&widget.name_any(), &manager, &Patch::Apply(status)).await?;
    _ = context.reconciled.send(size);
    Ok(Action::await_change())
}

async fn run(case: &Case, config: watcher::Config) -> (Running, mpsc::UnboundedReceiver<i32>) {
    let (sender, reconciled) = mpsc::unbounded_channel();
    let (widgets, maps) = (widgets(case).await, maps(case).await);
    let context = Arc::new(Context { client: case.client().await, reconciled: sender });
    let controller = Controller::new(widgets, config.clone()).owns(maps, config);
    let run = controller.run(reconcile, |_, _, _| Action::requeue(Duration::from_millis(100)), context);
    (Running(tokio::spawn(run.for_each(|_| std::future::ready(())))), reconciled)
}

async fn until(reconciled: &mut mpsc::UnboundedReceiver<i32>, size: i32) -> Outcome {
    while reconciled.recv().await.ok_or("the controller runs")? != size {}
    Ok(())
}

async fn makes_and_changes(case: &Case, config: watcher::Config) -> Outcome {
    let (_running, mut reconciled) = run(case, config).await;
    let (widgets, maps) = (widgets(case).await, maps(case).await);
    widgets.create(&PostParams::default(), &sized("w", 1)).await?;
    until(&mut reconciled, 1).await?;
    let change = Patch::Merge(json!({"spec": {"size": 2}}));
    widgets.patch("w", &PatchParams::default(), &change).await?;
    until(&mut reconciled, 2).await?;
    let written = maps.get("w").await?.data.unwrap_or_default();
    assert_eq!(written.get("size").map(String::as_str), Some("2"));
    assert_eq!(widgets.get_status("w").await?.status.and_then(|status| status.ready), Some(true));
    Ok(())
}

async fn a_controller_reconciles_what_is_made_and_changed(case: Case) -> Outcome {
    makes_and_changes(&case, watcher::Config::default()).await
}

async fn a_controller_may_stream_the_list(case: Case) -> Outcome {
    makes_and_changes(&case, watcher::Config::default().streaming_lists()).await
}

async fn a_controller_brings_back_what_it_owns(case: Case) -> Outcome {
    let (_running, mut reconciled) = run(&case, watcher::Config::default()).await;
    let (widgets, maps) = (widgets(&case).await, maps(&case).await);
    widgets.create(&PostParams::default(), &sized("w", 1)).await?;
    until(&mut reconciled, 1).await?;
    let first = maps.get("w").await?.uid().ok_or("a UID")?;
    maps.delete("w", &DeleteParams::default()).await?;
    await_condition(maps, "w", |map: Option<&ConfigMap>| map.is_some_and(|map| map.uid().as_ref() != Some(&first)))
        .await?;
    Ok(())
}

async fn a_finalizer_cleans_up_before_the_object_goes(case: Case) -> Outcome {
    async fn reconcile(widget: Arc<Widget>, context: Arc<Context>) -> Result<Action, finalizer::Error<kube::Error>> {
        let api = Api::namespaced(context.client.clone(), &widget.namespace().unwrap_or_default());
        finalizer(&api, FINALIZER, widget, |event| async {
            let (what, widget) = match event {
                finalizer::Event::Apply(widget) => (1, widget),
                finalizer::Event::Cleanup(widget) => (-1, widget),
            };
            _ = context.reconciled.send(what * widget.spec.size.unwrap_or_default());
            Ok(Action::await_change())
        })
        .await
    }

    let (sender, mut reconciled) = mpsc::unbounded_channel();
    let widgets = widgets(&case).await;
    let context = Arc::new(Context { client: case.client().await, reconciled: sender });
    let controller = Controller::new(widgets.clone(), watcher::Config::default());
    let run = controller.run(reconcile, |_, _, _| Action::requeue(Duration::from_millis(100)), context);
    let _running = Running(tokio::spawn(run.for_each(|_| std::future::ready(()))));

    let made = widgets.create(&PostParams::default(), &sized("w", 5)).await?;
    until(&mut reconciled, 5).await?;
    assert_eq!(widgets.get("w").await?.finalizers(), [FINALIZER]);
    widgets.delete("w", &DeleteParams::default()).await?;
    until(&mut reconciled, -5).await?;
    await_condition(widgets, "w", conditions::is_deleted(&made.uid().ok_or("a UID")?)).await?;
    Ok(())
}
