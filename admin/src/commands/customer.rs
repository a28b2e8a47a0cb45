//! `b2b-auth customer`.

mod export;
mod import;

use crate::{
    Tool,
    arguments::{StoreArgument, email, id},
    audit::Change,
    directory::Changes,
    failure::{Failure, Kind},
    output::say,
    password::{self, PasswordArguments},
};
use aws_sdk_dynamodb::types::AttributeValue;
use clap::{Args, Subcommand};
use import::ImportArguments;
use serde_json::{Value, json};
use shared::{
    keys::jwt::LEEWAY,
    tables::{
        directory::{CUSTOMERS, Customer, CustomerLogin, Store},
        dynamodb::{number, string},
    },
};

#[derive(Args)]
pub struct CustomerArguments {
    #[command(flatten)]
    store: StoreArgument,
    /// The customer's e-mail, in any case.
    #[arg(value_parser = email)]
    email: String,
}

#[derive(Subcommand)]
pub enum Command {
    /// Adds a customer; asks for the password.
    #[command(after_help = "Example:\n  b2b-auth --local customer add buyer@example.com --store mystore --id 7")]
    Add {
        #[command(flatten)]
        customer: CustomerArguments,
        /// The platform's id of the customer.
        #[arg(long, value_parser = id)]
        id: u64,
        /// Ids of the channels in which the customer may log in; without it, all of the store.
        #[arg(long, value_delimiter = ',', value_parser = id, value_name = "IDS")]
        channels: Option<Vec<u64>>,
        #[command(flatten)]
        password: PasswordArguments,
    },
    /// Shows a store's customers, in the order of their ids.
    List {
        #[command(flatten)]
        store: StoreArgument,
    },
    /// Adds the customers of a CSV file. Those who are there already are skipped and stay as they are, so it can be run again.
    #[command(after_help = "\
The first row names the columns, in any order:
  customer_id    the platform's id
  email
  channels       ids, separated by ;      without it, or empty: all of the store
  active         true or false            without it, or empty: true
  password       in clear                 in each row either this
  password_hash  argon2id, PHC string     or this

Bad rows are listed on standard output; all others are added.

Examples:
  b2b-auth --local customer import customers.csv --store mystore --dry-run
  b2b-auth --local customer import customers.csv --store mystore --output json > bad-rows.json
  gpg --decrypt customers.csv.gpg | b2b-auth --local customer import /dev/stdin --store mystore")]
    Import(ImportArguments),
    /// Prints a store's customers as CSV, in the order of their ids; no passwords.
    #[command(after_help = "Example:\n  b2b-auth --local customer export --store mystore > customers.csv")]
    Export {
        #[command(flatten)]
        store: StoreArgument,
    },
    /// Sets a customer's channels.
    SetChannels {
        #[command(flatten)]
        customer: CustomerArguments,
        /// Ids of all channels in which the customer may log in.
        #[arg(long, required = true, value_delimiter = ',', value_parser = id, value_name = "IDS")]
        channels: Vec<u64>,
    },
    /// Sets a customer's password; asks for it. Storefront tokens from before are void then.
    SetPassword {
        #[command(flatten)]
        customer: CustomerArguments,
        #[command(flatten)]
        password: PasswordArguments,
    },
    /// Lets a customer have no more tokens, and makes all storefront tokens void.
    Disable {
        #[command(flatten)]
        customer: CustomerArguments,
    },
    /// Lets a customer have tokens again. Those from before stay void.
    Enable {
        #[command(flatten)]
        customer: CustomerArguments,
    },
    /// Removes a customer, and makes all storefront tokens void. The id gets no token until it is added again.
    Remove {
        #[command(flatten)]
        customer: CustomerArguments,
    },
}

pub async fn run(tool: &Tool, command: Command) -> Result<(), Failure> {
    let revoked = || ("tokens_valid_after", number(tool.stack.revoked_until()));
    match command {
        Command::Add { customer, id, channels, password } => add(tool, &customer, id, channels, &password).await,
        Command::List { store } => list(tool, &store.store).await,
        Command::Import(arguments) => import::run(tool, &arguments).await,
        Command::Export { store } => export::run(tool, &store.store).await,
        Command::SetChannels { customer, channels } => {
            let store = tool.stack.store(&customer.store.store).await?;
            check_channels(&channels, &store)?;
            let attribute = AttributeValue::L(channels.iter().copied().map(number).collect());
            let details = json!({"channels": channels});
            change(tool, "customer set-channels", &customer, details, vec![("channels", attribute)], vec![]).await
        }
        Command::SetPassword { customer, password } => {
            tool.stack.customer(&customer.store.store, &customer.email).await?;
            let password_hash = password::hash(password::read_new(&password, &customer.email)?).await?;
            let hash = vec![("password_hash", string(password_hash))];
            change(tool, "customer set-password", &customer, json!({}), vec![revoked()], hash).await?;
            say(&format!("Storefront tokens from before are void, and so are those of the next {LEEWAY} seconds."));
            Ok(())
        }
        Command::Disable { customer } => {
            let changes = vec![("active", AttributeValue::Bool(false)), revoked()];
            change(tool, "customer disable", &customer, json!({}), changes, vec![]).await
        }
        Command::Enable { customer } => {
            let changes = vec![("active", AttributeValue::Bool(true)), revoked()];
            change(tool, "customer enable", &customer, json!({}), changes, vec![]).await
        }
        Command::Remove { customer } => {
            let CustomerArguments { store, email } = customer;
            let present = tool.stack.customer(&store.store, &email).await?.customer;
            let details = json!({"email": present.email, "customerId": present.customer_id});
            let change = Change { action: "customer remove", store: Some(&store.store), details };
            tool.change(change, tool.stack.remove_customer(&store.store, &present, tool.stack.revoked_until())).await
        }
    }
}

async fn add(
    tool: &Tool,
    CustomerArguments { store, email }: &CustomerArguments,
    customer_id: u64,
    channels: Option<Vec<u64>>,
    password: &PasswordArguments,
) -> Result<(), Failure> {
    let store = store.store.as_str();
    let present = tool.stack.store(store).await?;
    let channels = channels.unwrap_or_else(|| present.channels.clone());
    check_channels(&channels, &present)?;
    let taken = |what| {
        Failure::new(
            Kind::Conflict,
            format!(
                "The store {store} already has a customer with this {what} (e-mails count as the same in any case)."
            ),
        )
    };
    // Before a password is asked for in vain.
    if tool.stack.services.directory.customer_login(store, email).await?.is_some() {
        return Err(taken("e-mail"));
    }
    let before = tool.stack.services.directory.customer(store, customer_id).await?;
    if before.as_ref().is_some_and(|before| !before.is_removed()) {
        return Err(taken("id"));
    }
    let customer = Customer {
        customer_id,
        email: email.clone(),
        channels,
        active: true,
        tokens_valid_after: before.and_then(|before| before.tokens_valid_after),
    };
    let password_hash = password::hash(password::read_new(password, email)?).await?;
    let details = json!({"email": email, "customerId": customer_id, "channels": customer.channels});
    let login = CustomerLogin { customer, password_hash };
    tool.change(Change { action: "customer add", store: Some(store), details }, async {
        tool.stack.add_customer(store, &login).await?.map_or(Ok(()), |what| Err(taken(what)))
    })
    .await
}

/// That all are channels of the store.
fn check_channels(channels: &[u64], store: &Store) -> Result<(), Failure> {
    match channels.iter().find(|channel| !store.channels.contains(channel)) {
        Some(channel) => Err(Failure::new(
            Kind::Invalid,
            format!(
                "{channel} is no channel of the store, which has {:?}. `b2b-auth store set-channels` adds it.",
                store.channels
            ),
        )),
        None => Ok(()),
    }
}

async fn list(tool: &Tool, store: &str) -> Result<(), Failure> {
    tool.stack.store(store).await?;
    let mut rows = tool.output.rows(&["customerId", "email", "channels", "active", "tokensRevokedAt"]);
    let mut customers = tool.stack.directory_items(store, CUSTOMERS);
    while let Some(customer) = customers.next_as::<Customer>().await? {
        if !customer.is_removed() {
            rows.push(vec![
                json!(customer.customer_id),
                json!(customer.email),
                json!(customer.channels),
                json!(customer.active),
                json!(customer.tokens_valid_after),
            ])?;
        }
    }
    rows.end()
}

async fn change(
    tool: &Tool,
    action: &str,
    CustomerArguments { store, email }: &CustomerArguments,
    mut details: Value,
    changes: Changes,
    secret: Changes,
) -> Result<(), Failure> {
    let present = tool.stack.customer(&store.store, email).await?.customer;
    details["email"] = json!(present.email);
    let change = Change { action, store: Some(&store.store), details };
    tool.change(change, tool.stack.change_customer(&store.store, &present, changes, secret)).await
}
