//! The table: one row a cluster.

use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use clientmgr_kube::ClusterSnapshot;
use k8s_openapi::jiff::Timestamp;

const HEAD: [&str; 8] = ["CONTEXT", "STATE", "VERSION", "USER", "IDENTITY", "LATENCY", "EXPIRES IN", "LAST ERROR"];

/// Enough of a UID to tell clusters apart.
const IDENTITY: usize = 13;

pub(crate) fn render(snapshots: &[ClusterSnapshot]) -> String {
    let now = Timestamp::now();
    let rows: Vec<[String; 8]> = snapshots.iter().map(|snapshot| row(snapshot, now)).collect();
    let mut widths = HEAD.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut table = String::new();
    for row in std::iter::once(&HEAD.map(str::to_owned)).chain(&rows) {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            // Writing to a string does not fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}

fn row(snapshot: &ClusterSnapshot, now: Timestamp) -> [String; 8] {
    let or_dash = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
    let identity = snapshot.identity.as_ref().map(|identity| {
        let text = identity.to_string();
        text.chars().take(IDENTITY).collect()
    });
    let latency = snapshot.latency.map(|latency| format!("{:.1} ms", latency.as_secs_f64() * 1e3));
    let expires = snapshot.credentials_expire_at.map(|at| remaining(at, now));
    let error = snapshot.error.as_ref().map(|error| {
        let own = format!("cluster {}: ", snapshot.cluster);
        let text = chain(error);
        text.strip_prefix(&own).unwrap_or(&text).to_owned()
    });
    [
        snapshot.cluster.to_string(),
        format!("{:?}", snapshot.state).to_lowercase(),
        or_dash(snapshot.version.clone()),
        or_dash(snapshot.user.clone()),
        or_dash(identity),
        or_dash(latency),
        or_dash(expires),
        or_dash(error),
    ]
}

/// The time until `at`, by its largest unit.
fn remaining(at: Timestamp, now: Timestamp) -> String {
    let Ok(left) = Duration::try_from(at.duration_since(now)) else { return "expired".to_owned() };
    match left.as_secs() {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7_200 => format!("{}m", seconds / 60),
        seconds @ 7_200..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

fn chain(error: &dyn Error) -> String {
    let (mut line, mut source) = (error.to_string(), error.source());
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::{SignedDuration, Timestamp};

    use super::remaining;

    #[test]
    fn what_is_left_is_shown_by_its_largest_unit() {
        let now = Timestamp::UNIX_EPOCH;
        let shown = [(-1, "expired"), (0, "0s"), (119, "119s"), (120, "2m"), (7_200, "2h"), (172_800, "2d")];
        for (seconds, expected) in shown {
            assert_eq!(remaining(now + SignedDuration::from_secs(seconds), now), expected);
        }
    }
}
