//! `b2b-auth customer`.

mod activity;
mod by_id;
mod channels;
mod export;
mod formulas;
mod import;
mod input;
mod listed;

use super::login::lockout;
use crate::{
    audit::Change,
    failure::{Failure, Kind},
    output::say,
    password::{self, PasswordArguments},
    tool::{Tool, added, counts_as_one, done, no_customer},
    values::{AccountArguments, SearchArguments, StoreArgument, email, id, once},
};
use accounts::{CustomerChange, Taken};
use activity::ActivityArguments;
use by_id::{known, of_id};
use channels::check_channels;
use clap::Subcommand;
use import::ImportArguments;
use serde_json::{Value, json};
use shared::{
    keys::jwt::LEEWAY,
    tables::directory::{Customer, CustomerLogin},
};

#[derive(Subcommand)]
pub enum Command {
    /// Adds a customer; asks for the password.
    #[command(after_help = "Example:\n  b2b-auth --local customer add buyer@example.com --store mystore --id 7")]
    Add {
        #[command(flatten)]
        customer: AccountArguments,
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
    #[command(after_help = "Example:\n  b2b-auth --local customer list --store mystore --email-contains @example.com")]
    List {
        #[command(flatten)]
        store: StoreArgument,
        #[command(flatten)]
        search: SearchArguments,
    },
    /// Shows a customer, and from where failed logins lock it out.
    #[command(after_help = "Examples:
  b2b-auth --local customer show buyer@example.com --store mystore
  b2b-auth --local customer show --id 7 --store mystore")]
    Show {
        #[command(flatten)]
        store: StoreArgument,
        /// The e-mail, in any case.
        #[arg(value_parser = email, required_unless_present = "id", conflicts_with = "id")]
        email: Option<String>,
        /// The platform's id of the customer, instead of the e-mail.
        #[arg(long, value_parser = id)]
        id: Option<u64>,
    },
    /// Adds the customers of a CSV file. Those who are there already are skipped and stay as they are, so it can be run again.
    #[command(after_help = "\
The first row names the columns, in any order:
  customer_id    the platform's id
  email          a ' before = + - or @ is the mark of `export`, and is taken away
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
    #[command(after_help = "\
An e-mail that a spreadsheet would take for a formula, because it begins with =, + or -, has a ' before it. `customer import`
takes that away again.

Example:\n  b2b-auth --local customer export --store mystore > customers.csv")]
    Export {
        #[command(flatten)]
        store: StoreArgument,
    },
    /// Sets a customer's channels.
    SetChannels {
        #[command(flatten)]
        customer: AccountArguments,
        /// Ids of all channels in which the customer may log in.
        #[arg(long, required = true, value_delimiter = ',', value_parser = id, value_name = "IDS")]
        channels: Vec<u64>,
    },
    /// Sets a customer's password; asks for it. Storefront tokens from before are void then.
    SetPassword {
        #[command(flatten)]
        customer: AccountArguments,
        #[command(flatten)]
        password: PasswordArguments,
    },
    /// Lets a customer, or all of a file, have no more tokens, and makes all storefront tokens void.
    #[command(after_help = "\
Customers at BigCommerce are known by their ids alone. To make the storefront tokens of one void, and let him log in again, disable
and then enable him.

Examples:
  b2b-auth --local customer disable buyer@example.com --store mystore
  b2b-auth --local customer disable --id 7 --store mystore
  b2b-auth --local customer disable --file customers.txt --store mystore --dry-run
  b2b-auth --local customer disable --file customers.txt --store mystore --confirm mystore")]
    Disable(ActivityArguments),
    /// Lets a customer, or all of a file, have tokens again. Those from before stay void.
    Enable(ActivityArguments),
    /// Removes a customer, and makes all storefront tokens void. The id gets no token until it is added again, or if the store's
    /// customers are at BigCommerce, enabled.
    Remove {
        #[command(flatten)]
        customer: AccountArguments,
    },
}

pub async fn run(tool: &Tool, command: Command) -> Result<(), Failure> {
    match command {
        Command::Add { customer, id, channels, password } => add(tool, &customer, id, channels, &password).await,
        Command::List { store, search } => list(tool, &store.hash, &search).await,
        Command::Show { store, email, id } => show(tool, &store.hash, email, id).await,
        Command::Import(arguments) => import::run(tool, &arguments).await,
        Command::Export { store } => export::run(tool, &store.hash).await,
        Command::SetChannels { customer, channels } => {
            let channels = once(channels);
            check_channels(&channels, &tool.store_of_table(&customer.store.hash).await?)?;
            let details = json!({"channels": channels});
            change(tool, "customer set-channels", &customer, details, &CustomerChange::Channels(channels)).await
        }
        Command::SetPassword { customer, password } => {
            // Before a password is asked for in vain.
            tool.store_of_table(&customer.store.hash).await?;
            tool.customer(&customer.store.hash, &customer.email).await?;
            let password_hash = password::new_hash(&password, &customer.email).await?;
            let set = CustomerChange::PasswordHash(password_hash);
            change(tool, "customer set-password", &customer, json!({}), &set).await?;
            say(&format!("Storefront tokens from before are void, and so are those of the next {LEEWAY} seconds."));
            Ok(())
        }
        Command::Disable(customers) => set_active(tool, customers, false).await,
        Command::Enable(customers) => set_active(tool, customers, true).await,
        Command::Remove { customer } => remove(tool, &customer).await,
    }
}

async fn add(
    tool: &Tool,
    AccountArguments { store, email }: &AccountArguments,
    customer_id: u64,
    channels: Option<Vec<u64>>,
    password: &PasswordArguments,
) -> Result<(), Failure> {
    let store = store.hash.as_str();
    let present = tool.store_of_table(store).await?;
    let channels = once(channels.unwrap_or_else(|| present.channels.clone()));
    check_channels(&channels, &present)?;
    let taken = |taken| {
        let what = if taken == Taken::Email { "e-mail" } else { "id" };
        Failure::new(
            Kind::Conflict,
            format!(
                "The store {store} already has a customer with this {what} (e-mails count as the same in any case)."
            ),
        )
    };
    // Before a password is asked for in vain.
    let place = tool.stack.accounts.place(store, email, customer_id).await?;
    if place.by_email.is_some() {
        return Err(taken(Taken::Email));
    }
    if place.by_id.is_some() {
        return Err(taken(Taken::CustomerId));
    }
    let customer = Customer {
        customer_id,
        email: email.clone(),
        channels,
        active: true,
        tokens_valid_after: place.tokens_valid_after,
    };
    let password_hash = password::new_hash(password, email).await?;
    let details = json!({"email": email, "customerId": customer_id, "channels": customer.channels});
    let login = CustomerLogin { customer, password_hash };
    tool.change(Change { action: "customer add", store: Some(store), details }, async {
        added(tool.stack.accounts.add_customer(store, &login).await?, store, taken)
    })
    .await
}

async fn list(tool: &Tool, store: &str, search: &SearchArguments) -> Result<(), Failure> {
    let present = tool.store(store).await?;
    let mut rows = tool.output.rows(&["customerId", "email", "channels", "active", "tokensRevokedAt"]);
    let mut customers = tool.stack.accounts.customers(store);
    while let Some(customer) = customers.next().await? {
        if counts_as_one(&customer, &present) && search.finds(&customer.email) {
            rows.push(vec![
                json!(customer.customer_id),
                known(&customer, &customer.email),
                known(&customer, &customer.channels),
                json!(customer.active),
                json!(customer.tokens_valid_after),
            ])?;
        }
    }
    rows.end()
}

async fn show(tool: &Tool, store: &str, email: Option<String>, id: Option<u64>) -> Result<(), Failure> {
    let present = tool.store(store).await?;
    let customer = match (email, id) {
        (Some(email), _) => tool.customer(store, &email).await?.customer,
        (None, id) => tool.customer_of_id(store, &present, id.unwrap_or_default()).await?,
    };
    let services = &tool.stack.services;
    let attempts = services.customer_attempts.open(store, &customer.email, &services.clock).await?;
    let (locked_out_from, lockout_ends_at) = lockout(&attempts);
    tool.output.object(&json!({
        "customerId": customer.customer_id,
        "email": known(&customer, &customer.email),
        "channels": known(&customer, &customer.channels),
        "active": customer.active,
        "tokensRevokedAt": customer.tokens_valid_after,
        "lockedOutFrom": locked_out_from,
        "lockoutEndsAt": lockout_ends_at,
    }))
}

async fn set_active(tool: &Tool, arguments: ActivityArguments, active: bool) -> Result<(), Failure> {
    if let Some(file) = &arguments.file {
        return activity::of_file(tool, file, &arguments, active).await;
    }
    let (action, set) = (activity::action(active), CustomerChange::Active(active));
    let store = arguments.store;
    match (arguments.email, arguments.id) {
        (Some(email), _) => change(tool, action, &AccountArguments { store, email }, json!({}), &set).await,
        (None, id) => {
            let id = id.unwrap_or_default();
            let customer = of_id(tool, &store.hash, id, active).await?;
            apply(tool, action, &store.hash, &customer, json!({"customerId": id}), &set).await
        }
    }
}

async fn change(
    tool: &Tool,
    action: &str,
    AccountArguments { store, email }: &AccountArguments,
    details: Value,
    change: &CustomerChange,
) -> Result<(), Failure> {
    let present = tool.customer(&store.hash, email).await?.customer;
    apply(tool, action, &store.hash, &present, details, change).await
}

async fn apply(
    tool: &Tool,
    action: &str,
    store: &str,
    present: &Customer,
    mut details: Value,
    change: &CustomerChange,
) -> Result<(), Failure> {
    if !present.is_removed() {
        details["email"] = json!(present.email);
    }
    let who = if present.is_removed() { format!("of id {}", present.customer_id) } else { present.email.clone() };
    tool.change(Change { action, store: Some(store), details }, async {
        done(tool.stack.accounts.change_customer(store, present, change).await?, || no_customer(store, &who))
    })
    .await
}

async fn remove(tool: &Tool, AccountArguments { store, email }: &AccountArguments) -> Result<(), Failure> {
    let store = store.hash.as_str();
    let present = tool.customer(store, email).await?.customer;
    let details = json!({"email": present.email, "customerId": present.customer_id});
    tool.change(Change { action: "customer remove", store: Some(store), details }, async {
        done(tool.stack.accounts.remove_customer(store, &present).await?, || no_customer(store, &present.email))
    })
    .await
}
