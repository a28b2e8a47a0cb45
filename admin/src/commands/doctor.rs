//! `b2b-auth doctor`.

use crate::{Tool, failure::Failure, output::Output};
use clap::Args;

#[derive(Args)]
pub struct DoctorArguments {}

pub fn cannot_open(_: &Output, failure: &Failure) -> Result<(), Failure> {
    Err(Failure::new(failure.kind, failure.message.clone()))
}

pub async fn run(_: &Tool, _: DoctorArguments) -> Result<(), Failure> {
    Ok(())
}
