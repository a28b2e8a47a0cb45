//! An event in, the envelope out.

pub mod envelope;
pub mod error;
pub mod fields;
pub mod request;
