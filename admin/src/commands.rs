//! One module for each noun of the command line.

pub mod api_account;
pub mod customer;
pub mod doctor;
pub mod key;
pub mod login;
pub mod restore;
pub mod store;
pub mod token;
pub mod user;
