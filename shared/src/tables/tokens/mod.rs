//! The table of server-to-server tokens.
//!
//! A store's items: one per token, one with the last id, one with the numbers of live tokens per block of 256 ids that has any,
//! and one per API account with when it was last used.

mod blocks;
mod create;
mod delete;
mod last_use;
mod pages;
mod record;
mod table;

pub use blocks::block_of;
pub use create::{Counter, Creation};
pub use delete::{Deletion, Wanted};
pub use last_use::{LAST_USE_INTERVAL, LastUse};
pub use pages::TokenPage;
pub use record::{EventChannel, TokenIdentity, TokenRecord};
pub use table::{BLOCKS, TOKENS, TokenTable};
