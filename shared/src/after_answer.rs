//! What a request leaves to be done once its answer is sent: the caller does not wait for it.

use futures_util::future::{BoxFuture, FutureExt, join_all};
use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

/// Work that waits for the answer.
#[derive(Default)]
pub struct AfterAnswer(Mutex<Vec<BoxFuture<'static, ()>>>);

impl AfterAnswer {
    /// Puts work off. It is lost if the process ends before.
    pub fn push(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(work.boxed());
    }

    /// Answers, and then does all that was put off. To be laid around the sending of the answer too: the caller has it, and the
    /// process runs on until the next event is asked for.
    pub async fn finish_after<F: Future>(self: Arc<Self>, answering: F) -> F::Output {
        let answered = answering.await;
        self.finish().await;
        answered
    }

    /// Does all that was put off, side by side.
    pub async fn finish(&self) {
        let work = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(work).await;
    }
}
