//! `b2b-auth user`.

use super::login::lockout;
use crate::{
    audit::Change,
    failure::{Failure, Kind},
    output::{count, say},
    password::{self, PasswordArguments},
    tool::{Tool, added, done, no_user},
    values::{AccountArguments, SearchArguments, StoreArgument},
};
use accounts::UserChange;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use shared::tables::{
    directory::{BackendUser, Role},
    items::email_key,
};

/// What a backend user may do. Tables, JSON and audit lines spell it in the same way; a hyphen is taken too.
#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum RoleArgument {
    /// May create server-to-server tokens.
    Administrator,
    /// May create server-to-server tokens.
    #[value(alias = "store-owner")]
    StoreOwner,
    /// May not.
    #[value(alias = "sales-rep")]
    SalesRep,
}

#[derive(Subcommand)]
pub enum Command {
    /// Adds a backend user; asks for the password.
    #[command(after_help = "Examples:
  b2b-auth --local user add admin@example.com --store mystore --role administrator
  pass show b2b | b2b-auth --local user add admin@example.com --store mystore --role administrator --password-stdin")]
    Add {
        #[command(flatten)]
        user: AccountArguments,
        /// What the user may do.
        #[arg(long, value_enum)]
        role: RoleArgument,
        #[command(flatten)]
        password: PasswordArguments,
    },
    /// Shows a store's backend users.
    #[command(after_help = "Example:\n  b2b-auth --local user list --store mystore --email-contains @example.com")]
    List {
        #[command(flatten)]
        store: StoreArgument,
        #[command(flatten)]
        search: SearchArguments,
    },
    /// Shows a user, how many live tokens the user has made, and from where failed logins lock the user out.
    #[command(after_help = "Example:\n  b2b-auth --local user show admin@example.com --store mystore")]
    Show {
        #[command(flatten)]
        user: AccountArguments,
    },
    /// Sets what a user may do.
    #[command(after_help = "Example:\n  b2b-auth --local user set-role admin@example.com sales_rep --store mystore")]
    SetRole {
        #[command(flatten)]
        user: AccountArguments,
        /// What the user may do from now on.
        #[arg(value_enum)]
        role: RoleArgument,
    },
    /// Sets a user's password; asks for it.
    SetPassword {
        #[command(flatten)]
        user: AccountArguments,
        #[command(flatten)]
        password: PasswordArguments,
    },
    /// Keeps a user from logging in. Tokens that the user made stay good: see `token revoke --email`.
    Disable {
        #[command(flatten)]
        user: AccountArguments,
    },
    /// Lets a user log in again.
    Enable {
        #[command(flatten)]
        user: AccountArguments,
    },
    /// Removes a user. Tokens that the user made stay good: see `token revoke --email`.
    Remove {
        #[command(flatten)]
        user: AccountArguments,
    },
}

impl RoleArgument {
    fn role(self) -> Role {
        match self {
            Self::Administrator => Role::Administrator,
            Self::StoreOwner => Role::StoreOwner,
            Self::SalesRep => Role::Other("sales_rep".into()),
        }
    }
}

pub async fn run(tool: &Tool, command: Command) -> Result<(), Failure> {
    match command {
        Command::Add { user, role, password } => add(tool, &user, role.role(), &password).await,
        Command::List { store, search } => list(tool, &store.hash, &search).await,
        Command::Show { user } => show(tool, &user).await,
        Command::SetRole { user, role } => {
            let role = role.role();
            change(tool, "user set-role", &user, json!({"role": role}), &UserChange::Role(role)).await?;
            tell_of_tokens(tool, &user).await;
            Ok(())
        }
        Command::SetPassword { user, password } => {
            // Before a password is asked for in vain.
            tool.user(&user.store.hash, &user.email).await?;
            let password_hash = password::new_hash(&password, &user.email).await?;
            change(tool, "user set-password", &user, json!({}), &UserChange::PasswordHash(password_hash)).await?;
            tell_of_tokens(tool, &user).await;
            Ok(())
        }
        Command::Disable { user } => {
            change(tool, "user disable", &user, json!({}), &UserChange::Active(false)).await?;
            tell_of_tokens(tool, &user).await;
            Ok(())
        }
        Command::Enable { user } => change(tool, "user enable", &user, json!({}), &UserChange::Active(true)).await,
        Command::Remove { user } => remove(tool, &user).await,
    }
}

async fn add(
    tool: &Tool,
    AccountArguments { store, email }: &AccountArguments,
    role: Role,
    password: &PasswordArguments,
) -> Result<(), Failure> {
    let store = store.hash.as_str();
    // Before a password is asked for in vain.
    tool.store(store).await?;
    let taken = || {
        Failure::new(
            Kind::Conflict,
            format!("The store {store} already has a backend user {email} (upper and lower case count as the same)."),
        )
    };
    if tool.stack.services.directory.backend_user(store, email).await?.is_some() {
        return Err(taken());
    }
    let password_hash = password::new_hash(password, email).await?;
    let details = json!({"email": email, "role": role});
    let user = BackendUser { email: email.clone(), password_hash, role, active: true };
    tool.change(Change { action: "user add", store: Some(store), details }, async {
        added(tool.stack.accounts.add_user(store, &user).await?, store, |_| taken())
    })
    .await
}

async fn list(tool: &Tool, store: &str, search: &SearchArguments) -> Result<(), Failure> {
    tool.store(store).await?;
    let mut rows = tool.output.rows(&["email", "role", "active"]);
    let mut users = tool.stack.accounts.users(store);
    while let Some(user) = users.next().await? {
        if search.finds(&user.email) {
            rows.push(vec![json!(user.email), json!(user.role), json!(user.active)])?;
        }
    }
    rows.end()
}

async fn show(tool: &Tool, AccountArguments { store, email }: &AccountArguments) -> Result<(), Failure> {
    let store = store.hash.as_str();
    tool.store(store).await?;
    let user = tool.user(store, email).await?;
    let services = &tool.stack.services;
    let attempts = services.backend_user_attempts.open(store, email, &services.clock).await?;
    let (locked_out_from, lockout_ends_at) = lockout(&attempts);
    tool.output.object(&json!({
        "email": user.email,
        "role": user.role,
        "active": user.active,
        "liveTokens": live_tokens_made(tool, store, email).await?,
        "lockedOutFrom": locked_out_from,
        "lockoutEndsAt": lockout_ends_at,
    }))
}

async fn change(
    tool: &Tool,
    action: &str,
    AccountArguments { store, email }: &AccountArguments,
    mut details: Value,
    change: &UserChange,
) -> Result<(), Failure> {
    details["email"] = json!(email);
    tool.change(Change { action, store: Some(&store.hash), details }, async {
        done(tool.stack.accounts.change_user(&store.hash, email, change).await?, || no_user(&store.hash, email))
    })
    .await
}

async fn remove(tool: &Tool, user: &AccountArguments) -> Result<(), Failure> {
    let AccountArguments { store, email } = user;
    let details = json!({"email": email});
    tool.change(Change { action: "user remove", store: Some(&store.hash), details }, async {
        done(tool.stack.accounts.remove_user(&store.hash, email).await?, || no_user(&store.hash, email))
    })
    .await?;
    tell_of_tokens(tool, user).await;
    Ok(())
}

/// Server-to-server tokens outlive what becomes of their maker.
async fn tell_of_tokens(tool: &Tool, user: &AccountArguments) {
    let (store, email) = (&user.store.hash, &user.email);
    let revoke = format!("To revoke: b2b-auth token revoke --store {store} --email {email} --confirm {store}");
    match live_tokens_made(tool, store, email).await {
        Ok(0) => {}
        Ok(made) => say(&format!("{email} has made {}, still good. {revoke}", count(made, "server-to-server token"))),
        // What was asked for is done.
        Err(failure) => {
            say(&format!("Tokens that {email} has made are still good, if there are any. {revoke} ({failure})"));
        }
    }
}

/// How many tokens of the user's have not ended.
async fn live_tokens_made(tool: &Tool, store: &str, email: &str) -> Result<u64, Failure> {
    let now = tool.stack.services.clock.now();
    let mut tokens = tool.stack.accounts.tokens(store);
    let mut live = 0;
    while let Some(token) = tokens.next().await? {
        let is_live = token.record.ends_at.is_none_or(|end| end > now);
        live += u64::from(is_live && email_key(&token.record.email) == email_key(email));
    }
    Ok(live)
}
