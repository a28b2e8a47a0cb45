//! Trying again what others were in the way of: the SDK leaves that to its caller.

use crate::fault::Fault;
use std::time::{Duration, Instant};

/// How long a request tries again. With what it waits for before and after, an answer comes within the function's own time.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// Longest wait after the first attempt.
const FIRST_WAIT: Duration = Duration::from_millis(40);

/// The waits between attempts.
pub struct Retries {
    started: Instant,
    patience: Duration,
    longest_wait: Duration,
}

impl Retries {
    /// Attempts that begin now, and may go on while the patience lasts.
    #[must_use]
    pub fn within(patience: Duration) -> Self {
        Self { started: Instant::now(), patience, longest_wait: FIRST_WAIT }
    }

    /// Waits before the next attempt for a random time, so that those which collided do not meet again: at first up to
    /// [`FIRST_WAIT`], then up to twice as long each time, but never longer than an eighth of what is left of the patience, because
    /// those who compete become fewer.
    ///
    /// # Errors
    /// What the attempts come to if the patience is used up.
    pub async fn wait(&mut self, fault: Fault) -> Result<(), Fault> {
        let left = self.patience.saturating_sub(self.started.elapsed());
        if left.is_zero() {
            return Err(fault);
        }
        tokio::time::sleep(self.longest_wait.min(left / 8).mul_f64(fastrand::f64())).await;
        self.longest_wait = self.longest_wait.saturating_mul(2);
        Ok(())
    }
}
