//! How long the threads of a process have computed: what a machine's other work does not change.

#![expect(unreachable_pub, reason = "a module of a bench, which has no public interface")]

use std::time::Duration;

/// How long all threads of the process `id` have computed; none where the system does not say.
pub fn processor_time(id: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // After the name, which may hold blanks: the 12th and 13th field from there, in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}
