//! Work that is begun for somebody and must not stay half done when he goes away.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;

/// A future that goes on by itself once nobody waits for it any more.
///
/// As long as somebody does it is no task of its own: that would take each webhook from one core to another.
pub struct ToItsEnd<F: Future<Output: Send> + Send + 'static>(Option<Pin<Box<F>>>);

impl<F: Future<Output: Send> + Send + 'static> ToItsEnd<F> {
    /// Carries this out whole as soon as it is begun.
    #[must_use]
    pub fn new(future: F) -> Self {
        Self(Some(Box::pin(future)))
    }
}

impl<F: Future<Output: Send> + Send + 'static> std::fmt::Debug for ToItsEnd<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ToItsEnd")
    }
}

impl<F: Future<Output: Send> + Send + 'static> Future for ToItsEnd<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // Taken out meanwhile: one that panicked is not gone on with.
        let Some(mut future) = self.0.take() else { return Poll::Pending };
        let outcome = future.as_mut().poll(cx);
        if outcome.is_pending() {
            self.0 = Some(future);
        }
        outcome
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for ToItsEnd<F> {
    fn drop(&mut self) {
        // Without a runtime the process is ending.
        if let (Some(future), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(future);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        time::Duration,
    };

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_carried_out_when_nobody_waits_any_more() {
        let (go, steps) = (Arc::new(Notify::new()), Arc::new(AtomicU32::new(0)));
        let work = {
            let (go, steps) = (Arc::clone(&go), Arc::clone(&steps));
            ToItsEnd::new(async move {
                steps.fetch_add(1, Ordering::SeqCst);
                go.notified().await;
                steps.fetch_add(1, Ordering::SeqCst);
            })
        };
        assert!(tokio::time::timeout(Duration::from_secs(1), work).await.is_err());
        assert_eq!(steps.load(Ordering::SeqCst), 1);
        go.notify_one();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(steps.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn whoever_waits_gets_what_it_came_to() {
        let work = ToItsEnd::new(async {
            tokio::task::yield_now().await;
            7
        });
        assert_eq!(work.await, 7);
    }
}
