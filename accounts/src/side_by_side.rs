//! Much work of the same kind, some of it at the same time.

use futures_util::{StreamExt, pin_mut, stream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Does the work for all, in groups of which some are worked on at the same time; in a group it is done for one after the other.
/// After the first failure nothing more is begun, and what is under way is waited for.
///
/// # Errors
/// The first of `work`.
pub async fn side_by_side<'a, T: 'a, E>(
    groups: impl Iterator<Item = &'a [T]>,
    at_once: usize,
    work: impl AsyncFn(&'a T) -> Result<(), E>,
) -> Result<(), E> {
    let is_over = AtomicBool::new(false);
    let working = stream::iter(groups).map(async |group| {
        for one in group {
            if is_over.load(Relaxed) {
                break;
            }
            work(one).await?;
        }
        Ok(())
    });
    let working = working.buffer_unordered(at_once);
    pin_mut!(working);
    let mut outcome = Ok(());
    while let Some(of_group) = working.next().await {
        is_over.fetch_or(of_group.is_err(), Relaxed);
        outcome = outcome.and(of_group);
    }
    outcome
}
