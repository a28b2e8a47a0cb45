//! `b2b-auth customer export`.

use super::formulas::marked;
use crate::{failure::Failure, output, tool::Tool};
use std::io::{self, IsTerminal};

pub async fn run(tool: &Tool, store: &str) -> Result<(), Failure> {
    tool.store(store).await?;
    let mut file = csv::Writer::from_writer(io::stdout());
    file.write_record(["customer_id", "email", "channels", "active"]).map_err(cannot_print)?;
    let mut customers = tool.stack.accounts.customers(store);
    while let Some(customer) = customers.next().await? {
        if !customer.is_removed() {
            let channels: Vec<String> = customer.channels.iter().map(ToString::to_string).collect();
            let (id, active) = (customer.customer_id.to_string(), customer.active.to_string());
            let email = marked(&customer.email);
            // A file must have it as it is; at a terminal it is only looked at.
            let email = if io::stdout().is_terminal() { output::escaped(&email) } else { email };
            file.write_record([&id, &email, &channels.join(";"), &active]).map_err(cannot_print)?;
        }
    }
    file.flush().map_err(|error| output::cannot_print(&error))
}

fn cannot_print(error: csv::Error) -> Failure {
    output::cannot_print(&error.into())
}
