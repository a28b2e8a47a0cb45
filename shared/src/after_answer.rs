//! What a request leaves to be done once its answer is sent: the caller does not wait for it.

use futures_util::future::{BoxFuture, FutureExt, join_all};
use std::{
    mem,
    sync::{Mutex, PoisonError},
};

/// Work that waits for the answer.
#[derive(Default)]
pub struct AfterAnswer(Mutex<Vec<BoxFuture<'static, ()>>>);

impl AfterAnswer {
    /// Puts work off. It is lost if the process ends before.
    pub fn push(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(work.boxed());
    }

    /// Does all that was put off, side by side.
    pub async fn finish(&self) {
        let work = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(work).await;
    }
}
