//! The table of server-to-server tokens.
//!
//! A store's items: one per token, one with the last id and the number of live tokens, one with the number of live tokens per
//! block of 256 ids, and one per API account with when it was last used. The counts change in the transaction that writes or
//! deletes a token, so they cannot drift. The block counts make a page cost the same at any depth: they tell in which block it
//! starts.

mod create;
mod delete;
mod last_use;
mod pages;
mod record;
mod table;

pub use create::{Counter, Creation};
pub use delete::{Deletion, Wanted};
pub use last_use::LAST_USE_INTERVAL;
pub use pages::{BlockCount, total};
pub use record::{EventChannel, TokenIdentity, TokenRecord};
pub use table::{BLOCKS, TOKENS, TokenTable};
