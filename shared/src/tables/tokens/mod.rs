//! The table of server-to-server tokens.
//!
//! A store's items: one per token, one with the last id, one with the numbers of live tokens per block of 256 ids that has any,
//! one per API account with when it was last used, and for a day one per request with an `Idempotency-Key`.

mod blocks;
mod create;
mod delete;
mod expiry;
mod idempotency;
mod last_use;
mod pages;
mod record;
mod rotate;
mod table;

pub use blocks::block_of;
pub use create::{Counter, Creation, NotCreated, Refused};
pub use delete::{Deletion, Wanted};
pub use expiry::{ENDS_AT, EXPIRING_TOKENS, EXPIRY_MARGIN, EXPIRY_SHARD, EXPIRY_SHARDS, Ended, EndedTokens};
pub use idempotency::{FirstRequest, IDEMPOTENCY_KEY_LIFE, IDEMPOTENCY_KEYS, IdempotencyKey};
pub use last_use::{LAST_USE_INTERVAL, LastUse};
pub use pages::TokenPage;
pub use record::{DELETED, EventChannel, NewToken, Replaced, TokenIdentity, TokenRecord};
pub use rotate::{NotRotated, Rotation};
pub use table::{BLOCKS, TOKENS, TokenTable};
