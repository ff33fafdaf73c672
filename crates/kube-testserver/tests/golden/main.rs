//! Recordings of a real API server, replayed: the server gives the same answers.
//!
//! Each file holds random sequences of requests for one kind, with the answers of kube-apiserver 1.36. UIDs, resource
//! versions and times are recorded as `*`.

mod compare;
mod recording;
mod replay;

use std::error::Error;

use crate::{recording::sequences, replay::Replayer};

type Outcome = Result<(), Box<dyn Error>>;

/// Replays every sequence, and fails with the first difference of each that differs if more than `differ` do, or if more than
/// `messages` answers have another message. Each file says how many are known to. A real server does not agree with all of
/// its own recordings either: where a second ends, owners of fields are recorded in another order.
async fn agree(recorded: &[u8], differ: usize, messages: usize) -> Outcome {
    let mut replayer = Replayer::start()?;
    let mut differences = Vec::new();
    let sequences = sequences(recorded)?;
    assert!(!sequences.is_empty(), "the file holds no sequence");
    for sequence in &sequences {
        differences.extend(replayer.first_difference(sequence).await?);
    }
    let count = differences.len();
    let report: String = differences.iter().map(ToString::to_string).collect();
    let all = sequences.len();
    assert!(count <= differ, "{count} of {all} sequences differ, not {differ}\n{report}");
    assert!(replayer.messages <= messages, "{} answers have another message", replayer.messages);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn config_maps_are_answered_as_recorded() -> Outcome {
    agree(include_bytes!("configmaps.jsonl.gz"), 0, 6).await
}

#[tokio::test(start_paused = true)]
async fn secrets_are_answered_as_recorded() -> Outcome {
    agree(include_bytes!("secrets.jsonl.gz"), 1, 5).await
}

#[tokio::test(start_paused = true)]
async fn leases_are_answered_as_recorded() -> Outcome {
    agree(include_bytes!("leases.jsonl.gz"), 0, 0).await
}

#[tokio::test(start_paused = true)]
async fn a_custom_resource_with_lists_and_rules_is_answered_as_recorded() -> Outcome {
    agree(include_bytes!("widgets.jsonl.gz"), 0, 4).await
}

#[tokio::test(start_paused = true)]
async fn a_custom_resource_with_scale_and_formats_is_answered_as_recorded() -> Outcome {
    agree(include_bytes!("gadgets.jsonl.gz"), 0, 5).await
}

#[tokio::test(start_paused = true)]
async fn a_changed_recording_is_reported_with_the_field_that_differs() -> Outcome {
    let mut sequences = sequences(include_bytes!("widgets.jsonl.gz"))?;
    let sequence = &mut sequences[0];
    let changed = sequence.steps.iter().position(|step| step.code == 201).ok_or("a sequence that creates an object")?;
    sequence.steps[changed].answer["metadata"]["name"] = "other".into();
    let difference = Replayer::start()?.first_difference(sequence).await?.ok_or("a difference")?.to_string();
    assert!(difference.contains(&format!("request {changed}: ")), "{difference}");
    assert!(difference.contains("at /metadata/name\n  recorded \"other\"\n"), "{difference}");
    Ok(())
}
