//! What calls cost in stores that are small, large, or have made and deleted a great many tokens: requests to the database,
//! their units and bytes, time, and the functions' own time on the processor.
//!
//! `cargo bench -p tests --bench scale`; the tables are those of docs/performance.md.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program to look at"
)]

use futures_util::{StreamExt, stream};
use local::demo;
use serde_json::json;
use std::{
    cell::Cell,
    process,
    time::{Duration, Instant},
};
use tests::{
    Call, NOW, Setup, Stopwatch, TestStack, Trip, backend_login, cpu_time, current_customer, customer_login,
    fill_store, kept_token, median, milliseconds, platform_jwt, waits, with,
};
use tokio::runtime::{Builder, Runtime};

/// Below the tokens that two of the stores have made, so that they look full until their live ones are counted.
const MAX_TOKENS: u64 = 200_000;
const COUNTED_CALLS: u64 = 5;
const TIMED_CALLS: u64 = 40;
const CALLERS: usize = 4;
/// The processor time of these threads is that of the functions: the database and the caller have others.
const API_THREADS: &str = "api";

struct Filled {
    name: &'static str,
    hash: &'static str,
    made: u64,
    live: u64,
    customers: u64,
    offsets: &'static [u64],
}

#[rustfmt::skip]
const STORES: [Filled; 4] = [
    Filled { name: "10 of 10", hash: "storehash1", made: 10, live: 10, customers: 1, offsets: &[0] },
    Filled { name: "20,000 of 20,000", hash: "storehash2", made: 20_000, live: 20_000, customers: 1, offsets: &[0, 136, 1000, 10_000, 19_990] },
    Filled { name: "1,000 of 1,000,000", hash: "storehash3", made: 1_000_000, live: 1000, customers: 1, offsets: &[0, 500, 990] },
    Filled { name: "100,000 of 1,000,000", hash: "storehash4", made: 1_000_000, live: 100_000, customers: 100_000, offsets: &[0, 50_000, 99_990] },
];

fn main() {
    let [rest, api] = ["rest", API_THREADS].map(runtime);
    let mut setup = Setup::default();
    setup.configuration.max_tokens_per_store = MAX_TOKENS;
    let direct = rest.block_on(TestStack::start_with(setup));
    let stopwatch = Stopwatch::default();
    let counted = rest.block_on(direct.with_clients(&stopwatch.watch(&direct.sdk_config), &direct.secrets));
    let timed = api.block_on(direct.fresh_functions(direct.aws_url()));
    rest.block_on(async {
        let started = Instant::now();
        for Filled { hash, made, live, customers, .. } in STORES {
            fill_store(&direct, hash, made, live, customers).await;
        }
        println!("filled in {:.0} s\n", started.elapsed().as_secs_f64());
        let stores = STORES.each_ref().map(|store| Bench::new(store, &counted, &timed, &stopwatch));
        for store in &stores {
            store.warm_up().await;
        }
        header(&["tokens", "offset", "limit"]);
        for store in &stores {
            for &offset in store.filled.offsets {
                store.page(offset, 10).await;
            }
            store.page(0, 250).await;
        }
        header(&["tokens", "call"]);
        for store in &stores {
            store.calls().await;
        }
        println!("\n| {CALLERS} callers at once | requests | refused transactions | write units | calls a second |");
        println!("|---|---|---|---|---|");
        stores[1].parallel_calls().await;
    });
}

fn runtime(threads: &str) -> Runtime {
    // Threads that end would take their times with them.
    let keep_alive = Duration::from_hours(1);
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(threads)
        .thread_keep_alive(keep_alive)
        .enable_all()
        .build()
        .unwrap()
}

struct Bench<'a> {
    filled: &'a Filled,
    counted: &'a TestStack,
    timed: &'a TestStack,
    stopwatch: &'a Stopwatch,
    token: String,
    rotated: Cell<u64>,
    deleted: Cell<u64>,
}

/// What makes a call of this store.
type Make<'a> = &'a dyn Fn(&TestStack) -> Call;

impl<'a> Bench<'a> {
    fn new(filled: &'a Filled, counted: &'a TestStack, timed: &'a TestStack, stopwatch: &'a Stopwatch) -> Self {
        let token = kept_token(filled.hash, 1);
        Self { filled, counted, timed, stopwatch, token, rotated: Cell::new(0), deleted: Cell::new(0) }
    }

    fn list(&self, stack: &TestStack, offset: u64, limit: u64) -> Call {
        stack.get(&format!("/backend/tokens?offset={offset}&limit={limit}")).token(&self.token)
    }

    fn create(&self, stack: &TestStack) -> Call {
        stack.post("/auth/backend", &backend_login(self.filled.hash, demo::ADMIN_EMAIL, demo::ADMIN_PASSWORD))
    }

    /// Of a token that was created before: each is replaced once.
    fn rotate(&self, stack: &TestStack) -> Call {
        self.rotated.set(self.rotated.get() + 1);
        let id = self.filled.made + self.rotated.get();
        stack.post("/auth/backend/rotate", &json!({"id": id})).token(&self.token)
    }

    /// Of a token that was created before: each is deleted once.
    fn delete(&self, stack: &TestStack) -> Call {
        self.deleted.set(self.deleted.get() + 1);
        stack.delete(&json!({"id": self.filled.made + self.deleted.get()})).token(&self.token)
    }

    fn customer(&self) -> (u64, String) {
        let id = self.filled.customers.div_ceil(2);
        (id, format!("c{id}@example.com"))
    }

    fn login(&self, stack: &TestStack) -> Call {
        let login = with(customer_login(&self.customer().1, demo::ADMIN_PASSWORD), "storeHash", self.filled.hash);
        stack.post("/auth/customers", &login).token(&self.token)
    }

    fn exchange(&self, stack: &TestStack) -> Call {
        let (id, email) = self.customer();
        let mut claims = with(current_customer(NOW), "customer", json!({"id": id, "email": email, "group_id": "6"}));
        claims = with(with(claims, "sub", self.filled.hash), "store_hash", self.filled.hash);
        stack.exchange(&platform_jwt(&claims)).token(&self.token)
    }

    fn issue(&self, stack: &TestStack) -> Call {
        stack.post("/auth/customers/storefront", &json!({"customerId": self.customer().0})).token(&self.token)
    }

    fn introspect(&self, stack: &TestStack) -> Call {
        stack.introspect(&self.token).token(&self.token)
    }

    fn authorize(&self, stack: &TestStack) -> Call {
        stack.protected("/stock").bearer(&self.token)
    }

    /// So that nothing is read, connected to or noted as used for the first time.
    async fn warm_up(&self) {
        for stack in [self.counted, self.timed] {
            let list = |stack: &TestStack| self.list(stack, 0, 10);
            let calls: [Make; 6] =
                [&list, &|s| self.login(s), &|s| self.exchange(s), &|s| self.issue(s), &|s| self.introspect(s), &|s| {
                    self.authorize(s)
                }];
            for make in calls {
                sent(make(stack)).await;
            }
        }
        rest().await;
    }

    async fn page(&self, offset: u64, limit: u64) {
        let Filled { name, made, live, .. } = *self.filled;
        let answer = self.list(self.timed, offset, limit).send().await;
        let ids: Vec<_> = answer.body["data"].as_array().unwrap().iter().map(|token| &token["id"]).collect();
        let expected: Vec<_> =
            (offset..live.min(offset + limit)).map(|position| 1 + position * (made / live)).collect();
        assert_eq!((json!(ids), answer.total_count()), (json!(expected), live), "the tables are filled wrongly");
        let list = |stack: &TestStack| self.list(stack, offset, limit);
        self.row(&[name, &offset.to_string(), &limit.to_string()], 0, &list).await;
    }

    async fn calls(&self) {
        let name = self.filled.name;
        if self.filled.made >= MAX_TOKENS {
            // Only the first has to.
            let counts = self.counts(1, 1, &|stack| self.create(stack)).await;
            println!("| {name} | create, counting anew | {counts} | | |");
        }
        self.row(&[name, "create"], 1, &|stack| self.create(stack)).await;
        self.row(&[name, "rotate"], 0, &|stack| self.rotate(stack)).await;
        self.row(&[name, "delete"], 0, &|stack| self.delete(stack)).await;
        self.row(&[name, "login"], 1, &|stack| self.login(stack)).await;
        self.row(&[name, "exchange"], 0, &|stack| self.exchange(stack)).await;
        self.row(&[name, "issue"], 0, &|stack| self.issue(stack)).await;
        self.row(&[name, "introspect"], 0, &|stack| self.introspect(stack)).await;
        self.row(&[name, "authorize"], 0, &|stack| self.authorize(stack)).await;
    }

    /// `afterwards` is how many requests are sent once the answer is.
    async fn row(&self, labels: &[&str], afterwards: usize, make: Make<'_>) {
        let counts = self.counts(COUNTED_CALLS, afterwards, make).await;
        let cpu_before = cpu_time(process::id(), Some(API_THREADS));
        let mut times = Vec::new();
        for _ in 0..TIMED_CALLS {
            let started = Instant::now();
            sent(make(self.timed)).await;
            times.push(started.elapsed());
        }
        rest().await;
        let cpu = cpu_time(process::id(), Some(API_THREADS)).saturating_sub(cpu_before) / TIMED_CALLS as u32;
        println!("| {} | {counts} | {} | {} |", labels.join(" | "), milliseconds(median(times)), milliseconds(cpu));
    }

    async fn counts(&self, calls: u64, afterwards: usize, make: Make<'_>) -> String {
        let mut waited = 0;
        let mut trips = Vec::new();
        for _ in 0..calls {
            self.stopwatch.take();
            sent(make(self.counted)).await;
            rest().await;
            let of_call = self.stopwatch.take();
            waited = waited.max(waits(&of_call[..of_call.len() - afterwards]));
            trips.extend(of_call);
        }
        let a_call = |amount: fn(&Trip) -> f64| trips.iter().map(amount).sum::<f64>() / calls as f64;
        let counts = [
            waited as f64,
            a_call(|_| 1.0),
            a_call(|trip| trip.items as f64),
            a_call(|trip| trip.read_units),
            a_call(|trip| trip.write_units),
            a_call(|trip| trip.sent_bytes as f64).round(),
            a_call(|trip| trip.received_bytes as f64).round(),
        ];
        counts.map(|count| count.to_string()).join(" | ")
    }

    async fn parallel_calls(&self) {
        let list = |stack: &TestStack| self.list(stack, 0, 10);
        let calls: [(&str, Make); 5] = [
            ("list", &list),
            ("issue", &|s| self.issue(s)),
            ("create", &|s| self.create(s)),
            ("rotate", &|s| self.rotate(s)),
            ("delete", &|s| self.delete(s)),
        ];
        for (name, make) in calls {
            self.stopwatch.take();
            let started = Instant::now();
            let answers = stream::iter(0..TIMED_CALLS).map(|_| sent(make(self.counted)));
            answers.buffer_unordered(CALLERS).collect::<Vec<_>>().await;
            let a_second = TIMED_CALLS as f64 / started.elapsed().as_secs_f64();
            rest().await;
            let trips = self.stopwatch.take();
            let requests = trips.len() as f64 / TIMED_CALLS as f64;
            let refused = trips.iter().filter(|trip| trip.operation == "TransactWriteItems" && trip.write_units == 0.0);
            let write_units = trips.iter().map(|trip| trip.write_units).sum::<f64>() / TIMED_CALLS as f64;
            println!("| {name} | {requests} | {} | {write_units} | {a_second:.0} |", refused.count());
        }
    }
}

async fn sent(call: Call) {
    let answer = call.send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Time for what is done after an answer.
async fn rest() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

fn header(labels: &[&str]) {
    let counts =
        "waits | requests | items read | read units | write units | bytes sent | received | median | processor";
    println!("\n| {} | {counts} |\n|{}", labels.join(" | "), "---|".repeat(labels.len() + 9));
}
