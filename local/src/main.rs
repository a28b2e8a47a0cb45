//! `cargo run`: the whole API on one machine, without an AWS account.

use clap::{
    Parser,
    builder::{PossibleValuesParser, TypedValueParser},
    value_parser,
};
use local::{Options, Stack, demo, server::Server};
use shared::{
    clock::Clock,
    configuration::{Configuration, StorefrontAccess},
    http::cors::AllowedOrigins,
    tables::directory::CustomerDirectory,
};
use std::{io, net::Ipv4Addr, path::PathBuf, process::ExitCode};

/// The whole API on one machine, without an AWS account.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Port of the API on 127.0.0.1.
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Port of DynamoDB and Secrets Manager.
    #[arg(long, default_value_t = 8000)]
    aws_port: u16,
    /// Address of DynamoDB and Secrets Manager; 172.17.0.1 lets in the containers of Docker on Linux.
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST)]
    aws_host: Ipv4Addr,
    /// Folder that keeps the data and the secrets; without it they are gone when the program ends.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Where the demo store's customers are: in the table, or at BigCommerce, for which a stand-in is started.
    #[arg(long, default_value = "table", value_parser = directories())]
    directory: CustomerDirectory,
    /// Port of what stands for BigCommerce.
    #[arg(long, default_value_t = 8001)]
    bigcommerce_port: u16,
    /// Who may call GET /auth/storefront and POST /auth/customers: the bearer of a server-to-server token (authToken) or
    /// anyone (public).
    #[arg(long, default_value = "authToken")]
    storefront_access: StorefrontAccess,
    /// Origins, separated by commas, whose pages may call GET /auth/storefront and POST /auth/customers.
    #[arg(long, default_value = "")]
    allowed_origins: AllowedOrigins,
    /// How many server-to-server tokens that have not ended a store may have.
    #[arg(long, default_value_t = 1000, value_parser = value_parser!(u64).range(1..))]
    max_tokens_per_store: u64,
}

fn directories() -> impl TypedValueParser<Value = CustomerDirectory> {
    PossibleValuesParser::new(["table", "bigcommerce"]).map(|name| match name.as_str() {
        "bigcommerce" => CustomerDirectory::BigCommerce,
        _ => CustomerDirectory::Table,
    })
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    shared::logging::start();
    let started = Stack::start(Options {
        port: arguments.port,
        aws_address: (arguments.aws_host, arguments.aws_port).into(),
        data: arguments.data,
        customer_directory: arguments.directory,
        bigcommerce_port: arguments.bigcommerce_port,
        configuration: Configuration {
            allowed_origins: arguments.allowed_origins,
            max_tokens_per_store: arguments.max_tokens_per_store,
            ..Configuration::local(arguments.storefront_access)
        },
        clock: Clock::system(),
    });
    let stack = match started.await {
        Ok(stack) => stack,
        Err(error) => return fail(&error),
    };
    // Before the greeting says that Ctrl-C stops it.
    let stopped = match stop_signal() {
        Ok(stopped) => stopped,
        Err(error) => return fail(&error),
    };
    greet(&stack, &demo::current_customer_jwt(Clock::system().now()));
    stopped.await;
    stack.stop().await;
    ExitCode::SUCCESS
}

/// Listens for Ctrl-C, and for the signal that ends a service; the future ends when one comes.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// The future ends at Ctrl-C.
#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async { tokio::signal::ctrl_c().await.unwrap_or_default() })
}

#[expect(clippy::print_stderr, reason = "a message for the person at the terminal")]
fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

#[expect(clippy::print_stdout, reason = "a message for the person at the terminal")]
fn greet(stack: &Stack, jwt: &str) {
    let (api, aws, token) = (&stack.api.url, &stack.aws.server.url, demo::token());
    let (store, admin, admin_password) = (demo::STORE, demo::ADMIN_EMAIL, demo::ADMIN_PASSWORD);
    let (rep, rep_password) = (demo::REP_EMAIL, demo::REP_PASSWORD);
    let (buyer, buyer_id, buyer_password) = (demo::BUYER_EMAIL, demo::BUYER_ID, demo::BUYER_PASSWORD);
    let (other_store, other_admin) = (demo::OTHER_STORE, demo::OTHER_ADMIN_EMAIL);
    let (other_buyer, other_buyer_id) = (demo::OTHER_BUYER_EMAIL, demo::OTHER_BUYER_ID);
    let (bigcommerce, at_bigcommerce, access_token) =
        stack.bigcommerce.as_ref().map(at_bigcommerce).unwrap_or_default();
    let (client_id, client_secret) = (demo::APP_CLIENT_ID, demo::APP_CLIENT_SECRET);
    println!(
        "\
b2b-auth is ready.

  API                            {api}/api/io
  console and reference          {api} and {api}/docs
  what its authorizer protects   {api}/example/orders and /stock
  DynamoDB and Secrets Manager   {aws}{bigcommerce}

Demo data
  store {store} (channels 1 and 2)
    administrator   {admin} / {admin_password}
    sales rep       {rep} / {rep_password}
    customer {buyer_id}    {buyer} / {buyer_password}
  store {other_store} (channel 1)
    administrator   {other_admin} / {admin_password}
    customer {other_buyer_id}    {other_buyer} / {buyer_password}
  app for current-customer JWTs
    client id       {client_id}
    client secret   {client_secret}
  server-to-server token of {store}
    {token}{at_bigcommerce}

Try it
  TOKEN={token}
  JWT={jwt}

  curl -H \"authToken: $TOKEN\" {api}/api/io/backend/tokens

  curl -H 'Content-Type: application/json' \\
    -d '{{\"storeHash\":\"{store}\",\"email\":\"{admin}\",\"password\":\"{admin_password}\",\"name\":\"my token\"}}' \\
    {api}/api/io/auth/backend

  curl -H \"authToken: $TOKEN\" \"{api}/api/io/auth/storefront?jwtToken=$JWT\"

  curl -H \"authToken: $TOKEN\" -H 'Content-Type: application/json' \\
    -d '{{\"storeHash\":\"{store}\",\"email\":\"{buyer}\",\"password\":\"{buyer_password}\",\"channelId\":1,\"name\":\"web\"}}' \\
    {api}/api/io/auth/customers

  curl -H \"authToken: $TOKEN\" -H 'Content-Type: application/json' \\
    -d '{{\"customerId\":{buyer_id}{access_token}}}' \\
    {api}/api/io/auth/customers/storefront

  curl -H \"authToken: $TOKEN\" -d \"token=$TOKEN\" {api}/api/io/oauth/introspect

  curl -H \"Authorization: Bearer $TOKEN\" {api}/example/stock

Ctrl-C stops it."
    );
}

/// What a person must know of BigCommerce's stand-in: where it is, what is in it, and a further member of what is sent for a token.
fn at_bigcommerce(server: &Server) -> (String, String, String) {
    let (store, access_token, url) = (demo::STORE, demo::BIGCOMMERCE_ACCESS_TOKEN, &server.url);
    let (buyer_id, buyer_token) = (demo::BUYER_ID, demo::BUYER_ACCESS_TOKEN);
    let (outlet, outlet_id, password) = (demo::CHANNEL_2_BUYER_EMAIL, demo::CHANNEL_2_BUYER_ID, demo::BUYER_PASSWORD);
    let address = format!("\n  what stands for BigCommerce    {url}");
    let contents = format!(
        "
  at BigCommerce, where {store} has its customers
    customer {outlet_id}    {outlet} / {password} (channel 2 alone)
    customer access token of {buyer_id}
      {buyer_token}
    access token of the API account
      {access_token}"
    );
    (address, contents, format!(r#","customerAccessToken":{{"value":"{buyer_token}"}}"#))
}
