/// Lets threads that receive go before the calling thread, for as long as it lives: what waits here is durable
/// already, and a modality that waits for its response shows it to someone. Does nothing but on Linux, where
/// priorities belong to threads.
pub fn receive_first() {
    #[cfg(target_os = "linux")]
    {
        /// A tenth of the weight of a thread at 0, when both want a core; all of it when nobody else does.
        const NICE: i32 = 10;
        let this = rustix::thread::gettid();
        if let Err(error) = rustix::process::setpriority_process(Some(this), NICE) {
            tracing::debug!(%error, "this thread keeps its priority");
        }
    }
}
