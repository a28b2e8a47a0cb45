//! The channels of a customer, which must be its store's.

use crate::failure::{Failure, Kind};
use shared::tables::directory::Store;

/// That all are channels of the store.
pub fn check_channels(channels: &[u64], store: &Store) -> Result<(), Failure> {
    match channels.iter().find(|channel| !store.channels.contains(channel)) {
        Some(channel) => Err(Failure::new(
            Kind::Invalid,
            format!(
                "{channel} is no channel of the store, which has {:?}. `b2b-auth store set-channels` adds it.",
                store.channels
            ),
        )),
        None => Ok(()),
    }
}
