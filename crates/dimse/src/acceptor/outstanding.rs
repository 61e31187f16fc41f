//! The operations that wait to become durable while the next is read (PS3.7 § D.3.3.3).

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Answers that come in their own order. There are no more than the window that was agreed, so all are asked
/// whenever one of them may be ready: no task of its own for an instance.
pub(crate) struct Outstanding<T> {
    waiting: Vec<Pin<Box<dyn Future<Output = T> + Send>>>,
    ready: Vec<T>,
}

impl<T> Default for Outstanding<T> {
    fn default() -> Self {
        Self { waiting: Vec::new(), ready: Vec::new() }
    }
}

impl<T> Outstanding<T> {
    /// Takes an answer in, and sets it going.
    pub(crate) async fn push(&mut self, answer: impl Future<Output = T> + Send + 'static) {
        self.waiting.push(Box::pin(answer));
        poll_fn(|cx| {
            self.poll(cx);
            Poll::Ready(())
        })
        .await;
    }

    /// How many are neither answered nor ready to be.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What is ready, in the order in which it became so.
    pub(crate) fn take_ready(&mut self) -> Vec<T> {
        std::mem::take(&mut self.ready)
    }

    /// Waits until something is ready; for ever when nothing is outstanding. Cancelling loses nothing.
    pub(crate) async fn some_ready(&mut self) {
        poll_fn(|cx| {
            self.poll(cx);
            if self.ready.is_empty() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        let Self { waiting, ready } = self;
        waiting.retain_mut(|answer| match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => {
                ready.push(answer);
                false
            }
            Poll::Pending => true,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn what_is_ready_comes_out_once_and_in_its_own_order() {
        let mut outstanding = Outstanding::default();
        let (first, second) = (oneshot::channel::<u8>(), oneshot::channel::<u8>());
        outstanding.push(first.1).await;
        outstanding.push(second.1).await;
        assert!(outstanding.take_ready().is_empty());
        second.0.send(2).unwrap();
        outstanding.some_ready().await;
        assert_eq!(outstanding.take_ready(), [Ok(2)]);
        first.0.send(1).unwrap();
        outstanding.some_ready().await;
        assert_eq!((outstanding.waiting(), outstanding.take_ready()), (0, vec![Ok(1)]));
    }

    #[tokio::test]
    async fn what_is_ready_at_once_need_not_be_waited_for() {
        let mut outstanding = Outstanding::default();
        outstanding.push(std::future::ready(7)).await;
        assert_eq!((outstanding.waiting(), outstanding.take_ready()), (0, vec![7]));
    }
}
