//! What is answered to which request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::message::{Page, Request, Status};

/// What a node says about itself. Both are asked on a thread that may block.
pub trait Monitored: Send + Sync + 'static {
    /// Every metric, as [`Exposition::into_text`](crate::Exposition::into_text) gives it.
    ///
    /// # Errors
    /// Why there are none, in words.
    fn metrics(&self) -> Result<String, String>;

    /// Whether instances are taken.
    ///
    /// # Errors
    /// Why they are not, in words.
    fn ready(&self) -> Result<(), String>;
}

/// Metrics are good for so many times what it took to gather them: however much there is to count and however often
/// someone asks, it takes a twentieth of one core at most.
const GOOD_FOR: u32 = 20;

const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers requests for one node.
pub(crate) struct Pages<M> {
    node: Arc<M>,
    fresh: Duration,
    gathered: Arc<Mutex<Option<Gathered>>>,
}

/// The metrics of a moment.
struct Gathered {
    text: String,
    good_until: Instant,
}

impl<M: Monitored> Pages<M> {
    pub(crate) fn new(node: Arc<M>, fresh: Duration) -> Self {
        Self { node, fresh, gathered: Arc::default() }
    }

    pub(crate) async fn answer(&self, request: &Request) -> Page {
        match request.path.as_str() {
            "/metrics" | "/health/live" | "/health/ready" if !request.only_reads() => {
                Page::text(Status::METHOD_NOT_ALLOWED, "only GET and HEAD\n")
            }
            "/metrics" => self.metrics().await,
            "/health/live" => Page::text(Status::OK, "live\n"),
            "/health/ready" => match self.blocking(M::ready).await {
                Ok(()) => Page::text(Status::OK, "ready\n"),
                Err(why) => Page::text(Status::SERVICE_UNAVAILABLE, format!("{why}\n")),
            },
            _ => Page::text(Status::NOT_FOUND, "there are /metrics, /health/live and /health/ready\n"),
        }
    }

    /// Gathered by one at a time; who comes meanwhile gets the same. The gathering goes on, and others wait for it, also
    /// when the one it was begun for is gone.
    async fn metrics(&self) -> Page {
        let page = |text: String| Page { content_type: METRICS, ..Page::text(Status::OK, text) };
        let mut gathered = Arc::clone(&self.gathered).lock_owned().await;
        if let Some(Gathered { text, .. }) = gathered.as_ref().filter(|gathered| Instant::now() < gathered.good_until) {
            return page(text.clone());
        }
        let fresh = self.fresh;
        let gather = move |node: &M| {
            let began = Instant::now();
            let text = node.metrics()?;
            let good_for = began.elapsed().saturating_mul(GOOD_FOR).max(fresh);
            *gathered = Some(Gathered { text: text.clone(), good_until: Instant::now() + good_for });
            Ok(text)
        };
        match self.blocking(gather).await {
            Ok(text) => page(text),
            Err(why) => {
                tracing::warn!(why, "no metrics");
                Page::text(Status::INTERNAL_SERVER_ERROR, format!("{why}\n"))
            }
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&M) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let node = Arc::clone(&self.node);
        spawn_blocking(move || ask(&node)).await.unwrap_or_else(|error| Err(error.to_string()))
    }
}
