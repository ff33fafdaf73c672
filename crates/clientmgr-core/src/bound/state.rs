//! [`BoundState`]: what a state must do to end.

/// What a controller keeps on a remote cluster, built on one client: a watch, a port-forward, a cache.
///
/// # Contract
///
/// When [`teardown`](Self::teardown) was called and [`ended`](Self::ended) has completed, the state no longer uses its
/// client. Dropping the state without a teardown should end it too: a build that is cancelled halfway is dropped.
///
/// # Examples
///
/// ```
/// use clientmgr_core::BoundState;
///
/// struct Watch {
///     stop: std::sync::mpsc::Sender<()>,
/// }
///
/// impl BoundState for Watch {
///     fn teardown(&self) {
///         // The receiver is gone if the thread ended by itself.
///         let _ = self.stop.send(());
///     }
/// }
/// ```
pub trait BoundState: Send + Sync + 'static {
    /// Stops everything that uses the client, even while others hold a handle to this state.
    ///
    /// Called exactly once for every state that was built, before the next one of the same object and cluster is built.
    /// It runs on the caller's thread and must not block: what takes time is awaited in [`ended`](Self::ended).
    fn teardown(&self);

    /// Completes when the teardown is over: the state will not use its client again. By default at once.
    ///
    /// [`BoundStates`](crate::BoundStates) awaits it after the teardown, before it builds the next state of the same object
    /// and cluster. That build waits as long as this takes. After it has completed, later calls complete at once. If it
    /// panics, the teardown counts as over.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any await and is then requested again.
    fn ended(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}
