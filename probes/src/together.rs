//! Several waits at the same time, without tasks: nothing outlives the one who waits.

use std::{future::poll_fn, task::Poll};

/// Waits for all of `work`; the results come in its order.
pub(crate) async fn all<T>(work: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = work.into_iter().map(|work| (Box::pin(work), None)).collect();
    poll_fn(|cx| {
        let mut pending = false;
        for (work, result) in running.iter_mut().filter(|(_, result)| result.is_none()) {
            match work.as_mut().poll(cx) {
                Poll::Ready(done) => *result = Some(done),
                Poll::Pending => pending = true,
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    running.into_iter().filter_map(|(_, result)| result).collect()
}
