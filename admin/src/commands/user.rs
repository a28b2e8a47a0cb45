//! `b2b-auth user`.

use super::count;
use crate::{
    Tool,
    arguments::{StoreArgument, email},
    audit::Change,
    directory::no_user,
    failure::{Failure, Kind},
    output::say,
    password::{self, PasswordArguments},
};
use aws_sdk_dynamodb::types::AttributeValue;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use shared::tables::{
    directory::{BackendUser, Role, USERS},
    dynamodb::{email_key, string},
    tokens::{TOKENS, TokenRecord},
};

/// What a backend user may do.
#[derive(Clone, Copy, ValueEnum)]
pub enum RoleArgument {
    /// May create server-to-server tokens.
    Administrator,
    /// May create server-to-server tokens.
    StoreOwner,
    /// May not.
    SalesRep,
}

#[derive(Args)]
pub struct UserArguments {
    #[command(flatten)]
    store: StoreArgument,
    /// The user's e-mail, in any case.
    #[arg(value_parser = email)]
    email: String,
}

#[derive(Subcommand)]
pub enum Command {
    /// Adds a backend user; asks for the password.
    #[command(after_help = "Examples:
  b2b-auth --local user add admin@example.com --store mystore --role administrator
  pass show b2b | b2b-auth --local user add admin@example.com --store mystore --role administrator --password-stdin")]
    Add {
        #[command(flatten)]
        user: UserArguments,
        /// What the user may do.
        #[arg(long, value_enum)]
        role: RoleArgument,
        #[command(flatten)]
        password: PasswordArguments,
    },
    /// Shows a store's backend users.
    List {
        #[command(flatten)]
        store: StoreArgument,
    },
    /// Sets what a user may do.
    #[command(after_help = "Example:\n  b2b-auth --local user set-role admin@example.com sales-rep --store mystore")]
    SetRole {
        #[command(flatten)]
        user: UserArguments,
        /// What the user may do from now on.
        #[arg(value_enum)]
        role: RoleArgument,
    },
    /// Sets a user's password; asks for it.
    SetPassword {
        #[command(flatten)]
        user: UserArguments,
        #[command(flatten)]
        password: PasswordArguments,
    },
    /// Keeps a user from logging in. Tokens that the user made stay good: see `token revoke --email`.
    Disable {
        #[command(flatten)]
        user: UserArguments,
    },
    /// Lets a user log in again.
    Enable {
        #[command(flatten)]
        user: UserArguments,
    },
    /// Removes a user. Tokens that the user made stay good: see `token revoke --email`.
    Remove {
        #[command(flatten)]
        user: UserArguments,
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
        Command::List { store } => list(tool, &store.store).await,
        Command::SetRole { user, role } => {
            let role = json!(role.role());
            let attribute = string(role.as_str().unwrap_or_default());
            change(tool, "user set-role", &user, json!({"role": role}), vec![("role", attribute)]).await?;
            tell_of_tokens(tool, &user).await;
            Ok(())
        }
        Command::SetPassword { user, password } => set_password(tool, &user, &password).await,
        Command::Disable { user } => {
            change(tool, "user disable", &user, json!({}), vec![("active", AttributeValue::Bool(false))]).await?;
            tell_of_tokens(tool, &user).await;
            Ok(())
        }
        Command::Enable { user } => {
            change(tool, "user enable", &user, json!({}), vec![("active", AttributeValue::Bool(true))]).await
        }
        Command::Remove { user } => remove(tool, &user).await,
    }
}

async fn add(
    tool: &Tool,
    UserArguments { store, email }: &UserArguments,
    role: Role,
    password: &PasswordArguments,
) -> Result<(), Failure> {
    let store = store.store.as_str();
    // Before a password is asked for in vain.
    tool.stack.store(store).await?;
    let taken = || {
        Failure::new(
            Kind::Conflict,
            format!("The store {store} already has a backend user {email} (upper and lower case count as the same)."),
        )
    };
    if tool.stack.services.directory.backend_user(store, email).await?.is_some() {
        return Err(taken());
    }
    let password_hash = password::hash(password::read_new(password, email)?).await?;
    let details = json!({"email": email, "role": role});
    let user = BackendUser { email: email.clone(), password_hash, role, active: true };
    tool.change(Change { action: "user add", store: Some(store), details }, async {
        if tool.stack.add_user(store, &user).await? { Ok(()) } else { Err(taken()) }
    })
    .await
}

async fn list(tool: &Tool, store: &str) -> Result<(), Failure> {
    tool.stack.store(store).await?;
    let mut rows = tool.output.rows(&["email", "role", "active"]);
    let mut users = tool.stack.directory_items(store, USERS);
    while let Some(user) = users.next_as::<BackendUser>().await? {
        rows.push(vec![json!(user.email), json!(user.role), json!(user.active)])?;
    }
    rows.end()
}

async fn change(
    tool: &Tool,
    action: &str,
    UserArguments { store, email }: &UserArguments,
    mut details: Value,
    changes: Vec<(&'static str, AttributeValue)>,
) -> Result<(), Failure> {
    details["email"] = json!(email);
    let change = Change { action, store: Some(&store.store), details };
    tool.change(change, tool.stack.change_user(&store.store, email, changes)).await
}

async fn set_password(tool: &Tool, user: &UserArguments, password: &PasswordArguments) -> Result<(), Failure> {
    let present = tool.stack.services.directory.backend_user(&user.store.store, &user.email).await?;
    present.ok_or_else(|| no_user(&user.store.store, &user.email))?;
    let password_hash = password::hash(password::read_new(password, &user.email)?).await?;
    change(tool, "user set-password", user, json!({}), vec![("password_hash", string(password_hash))]).await?;
    tell_of_tokens(tool, user).await;
    Ok(())
}

async fn remove(tool: &Tool, user: &UserArguments) -> Result<(), Failure> {
    let UserArguments { store, email } = user;
    let change = Change { action: "user remove", store: Some(&store.store), details: json!({"email": email}) };
    tool.change(change, tool.stack.remove_user(&store.store, email)).await?;
    tell_of_tokens(tool, user).await;
    Ok(())
}

/// Server-to-server tokens outlive what becomes of their maker.
async fn tell_of_tokens(tool: &Tool, user: &UserArguments) {
    let (store, email) = (&user.store.store, &user.email);
    let revoke = format!("To revoke: b2b-auth token revoke --store {store} --email {email} --confirm {store}");
    match tokens_made(tool, store, email).await {
        Ok(0) => {}
        Ok(made) => say(&format!("{email} has made {}, still good. {revoke}", count(made, "server-to-server token"))),
        // What was asked for is done.
        Err(failure) => {
            say(&format!("Tokens that {email} has made are still good, if there are any. {revoke} ({failure})"));
        }
    }
}

async fn tokens_made(tool: &Tool, store: &str, email: &str) -> Result<u64, Failure> {
    let mut tokens = tool.stack.items(&tool.stack.configuration().tokens_table, store, TOKENS);
    let mut made = 0;
    while let Some(token) = tokens.next_as::<TokenRecord>().await? {
        made += u64::from(email_key(&token.email) == email_key(email));
    }
    Ok(made)
}
