//! [`ProcessGroup`]: a plugin and what it started, killed together. A shell that is killed alone leaves its command behind.

use tokio::process::{Child, Command};

/// Makes the child of `command` the leader of a group of its own. Does nothing where there are no groups.
pub(super) fn lead(command: &mut Command) {
    #[cfg(unix)]
    command.process_group(0);
    #[cfg(not(unix))]
    let _ = command;
}

/// Kills a group when dropped, unless it was released.
pub(super) struct ProcessGroup {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
}

impl ProcessGroup {
    /// The group that `child` [leads](lead). Drop it before `child`.
    pub(super) fn of(child: &Child) -> Self {
        #[cfg(not(unix))]
        let _ = child;
        Self {
            #[cfg(unix)]
            leader: child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?)),
        }
    }

    /// Lets what is left of the group run on.
    #[cfg_attr(not(unix), expect(unused_mut, reason = "there is nothing to release"))]
    pub(super) fn release(mut self) {
        #[cfg(unix)]
        self.leader.take();
    }
}

#[cfg(unix)]
impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            // Fails where nothing of the group is left.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }
}
