//! `b2b-auth login`.

use crate::{audit::Change, failure::Failure, output::say, tool::Tool, values::AccountArguments};
use clap::Subcommand;
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// Clears the failed attempts of an e-mail, as backend user and as customer, from all addresses.
    #[command(after_help = "Example:\n  b2b-auth --local login unlock buyer@example.com --store mystore")]
    Unlock {
        #[command(flatten)]
        account: AccountArguments,
    },
}

pub async fn run(tool: &Tool, command: Command) -> Result<(), Failure> {
    let Command::Unlock { account: AccountArguments { store, email } } = command;
    let store = store.hash;
    tool.store(&store).await?;
    let services = &tool.stack.services;
    let change = Change { action: "login unlock", store: Some(&store), details: json!({"email": email}) };
    let (as_user, as_customer) = tool
        .change_in_steps(change, async |steps| {
            let as_user = services.backend_user_attempts.forget(&store, &email, &services.clock).await?;
            steps.did(as_user);
            Ok((as_user, services.customer_attempts.forget(&store, &email, &services.clock).await?))
        })
        .await?;
    say(&format!("Cleared: {as_user} attempts as a backend user, {as_customer} as a customer."));
    Ok(())
}
