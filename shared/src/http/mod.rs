//! An event in, the envelope out. Knows nothing of tables.

pub mod cors;
pub mod envelope;
pub mod error;
pub mod field_errors;
pub mod fields;
pub mod guard;
pub mod request;
