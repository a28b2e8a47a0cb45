//! `b2b-auth customer export`.

use crate::{failure::Failure, output, tool::Tool};
use std::io;

pub async fn run(tool: &Tool, store: &str) -> Result<(), Failure> {
    tool.store(store).await?;
    let mut file = csv::Writer::from_writer(io::stdout());
    file.write_record(["customer_id", "email", "channels", "active"]).map_err(cannot_print)?;
    let mut customers = tool.stack.accounts.customers(store);
    while let Some(customer) = customers.next().await? {
        if !customer.is_removed() {
            let channels: Vec<String> = customer.channels.iter().map(ToString::to_string).collect();
            let (id, active) = (customer.customer_id.to_string(), customer.active.to_string());
            file.write_record([&id, &customer.email, &channels.join(";"), &active]).map_err(cannot_print)?;
        }
    }
    file.flush().map_err(|error| output::cannot_print(&error))
}

fn cannot_print(error: csv::Error) -> Failure {
    output::cannot_print(&error.into())
}
