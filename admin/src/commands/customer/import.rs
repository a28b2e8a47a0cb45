//! `b2b-auth customer import`.
//!
//! However long the file is, only a few batches of it are in memory. What an earlier run has added is found there and skipped,
//! so the same command goes on where one was interrupted.

mod records;
mod row;

use crate::{
    Tool,
    arguments::StoreArgument,
    audit::{Change, DONE, IN_DOUBT},
    commands::count,
    failure::{Failure, Kind},
    output::{Rows, say},
    password::Hashing,
};
use clap::Args;
use csv::StringRecord;
use futures_util::{StreamExt, future::try_join_all, pin_mut, stream};
use indicatif::{ProgressBar, ProgressStyle};
use records::Records;
use row::{Columns, Row, Secret};
use serde_json::json;
use shared::tables::{
    directory::{Customer, CustomerLogin, Store},
    dynamodb::email_key,
};
use std::{
    cell::Cell,
    collections::HashSet,
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    time::Instant,
};
use tokio::sync::oneshot;

/// Rows that are looked at and written together. A transaction takes 100 items: two for each, and the store's.
const BATCH: usize = 49;
/// Batches that are worked on at the same time.
const BATCHES: usize = 8;
/// How often a batch is looked at and written: again if an earlier batch, or somebody else, has written one of its customers
/// meanwhile.
const ATTEMPTS: usize = 3;

#[derive(Args)]
pub struct ImportArguments {
    /// CSV file; /dev/stdin for what another program writes.
    file: PathBuf,
    #[command(flatten)]
    store: StoreArgument,
    /// Only say what would be done. What the file itself has twice shows only when it is imported.
    #[arg(long)]
    dry_run: bool,
}

/// What has been done so far.
#[derive(Default)]
struct Counts {
    added: Cell<u64>,
    already_there: Cell<u64>,
    bad: Cell<u64>,
    /// Of those added, whose hash costs more or less than the service's own.
    other_cost: Cell<u64>,
    /// The line on which the last row begins up to which all has been dealt with.
    line: Cell<u64>,
    has_passwords: Cell<bool>,
}

/// What is wrong with a row, and on which line it begins.
type BadRow = (u64, String);

/// Rows that are looked at and written together.
struct Batch {
    rows: Vec<Row>,
    bad: Vec<BadRow>,
    last_line: u64,
    /// Bytes of the file up to its end.
    bytes: u64,
    /// Ends when the batch before it is done.
    previous: Option<oneshot::Receiver<()>>,
    /// Told when it is done.
    done: oneshot::Sender<()>,
}

/// What became of a batch.
struct Done {
    bad: Vec<BadRow>,
    last_line: u64,
    bytes: u64,
}

pub async fn run(tool: &Tool, arguments: &ImportArguments) -> Result<(), Failure> {
    let hash = arguments.store.store.as_str();
    let store = tool.stack.store(hash).await?;
    let file = File::open(&arguments.file).map_err(|error| not_readable(&arguments.file, &error))?;
    let size = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    let counts = Counts::default();
    let batches = Batches::begin(BufReader::new(file), &arguments.file, store, &counts)?;
    let import = Import { tool, hash, counts: &counts, is_dry_run: arguments.dry_run, hashing: Hashing::default() };

    let begun = Instant::now();
    let bar = progress(size);
    let mut rows = tool.output.rows(&["line", "reason"]);
    // Who it is cannot be asked any more if the credentials expire meanwhile.
    let (outcome, _) = tokio::join!(import.run(batches, &bar, &mut rows, begun), tool.stack.actor());
    bar.finish_and_clear();
    let outcome = outcome.and(rows.end()).map_err(|failure| import.half_way(&failure));

    say(&import.summary(begun));
    if !arguments.dry_run {
        match &outcome {
            Ok(()) => import.note(&arguments.file, DONE).await,
            Err(failure) if failure.leaves_doubt() => import.note(&arguments.file, IN_DOUBT).await,
            Err(_) => {}
        }
    }
    import.advise(&arguments.file);
    outcome?;
    match counts.bad.get() {
        0 => Ok(()),
        1 => Err(Failure::new(Kind::NotGood, "One row is bad, as listed. Mend it and run the same command again.")),
        bad => Err(Failure::new(
            Kind::NotGood,
            format!("{bad} rows are bad, as listed. Mend them and run the same command again."),
        )),
    }
}

/// How far it is, for a person at a terminal.
fn progress(size: Option<u64>) -> ProgressBar {
    let (bar, template) = match size {
        Some(size) => (ProgressBar::new(size), "{bar:30} {percent:>3} %, {msg}, about {eta} left"),
        None => (ProgressBar::no_length(), "{spinner} {msg}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn not_readable(file: &Path, error: &io::Error) -> Failure {
    Failure::new(Kind::Invalid, format!("{} cannot be read: {error}.", file.display()))
}

/// The batches of a file.
struct Batches<'a, R> {
    records: Records<R>,
    file: &'a Path,
    columns: Columns,
    store: Store,
    counts: &'a Counts,
    /// The row with which the next batch begins.
    held_back: Option<Row>,
    /// Ends when the latest batch is done.
    latest: Option<oneshot::Receiver<()>>,
}

impl<'a, R: BufRead> Batches<'a, R> {
    /// Reads the header.
    fn begin(input: R, file: &'a Path, store: Store, counts: &'a Counts) -> Result<Self, Failure> {
        let mut records = Records::new(input);
        let name = file.display();
        let invalid = |problem: String| Failure::new(Kind::Invalid, format!("{name} cannot be imported. {problem}"));
        let header = records.next().map_err(|error| not_readable(file, &error))?;
        let header = header.ok_or_else(|| invalid("It is empty.".into()))?;
        let header = header.fields.map_err(|problem| invalid(format!("Its header {problem}.")))?;
        let columns = Columns::new(&header).map_err(invalid)?;
        Ok(Self { records, file, columns, store, counts, held_back: None, latest: None })
    }

    /// The next batch. No two rows of it have an e-mail or id in common: the second begins another batch.
    fn next(&mut self) -> Result<Option<Batch>, Failure> {
        let (mut rows, mut bad, mut last_line) = (Vec::new(), Vec::new(), 0);
        let mut keys = HashSet::new();
        while rows.len() + bad.len() < BATCH {
            let row = match self.held_back.take() {
                Some(row) => Ok(row),
                None => match self.next_row()? {
                    Some(row) => row,
                    None => break,
                },
            };
            match row {
                Ok(row) if row.keys().iter().any(|key| keys.contains(key)) => {
                    self.held_back = Some(row);
                    break;
                }
                Ok(row) => {
                    keys.extend(row.keys());
                    last_line = row.line;
                    rows.push(row);
                }
                Err((line, reason)) => {
                    last_line = line;
                    bad.push((line, reason));
                }
            }
        }
        if rows.is_empty() && bad.is_empty() {
            return Ok(None);
        }
        let (done, latest) = oneshot::channel();
        let previous = self.latest.replace(latest);
        Ok(Some(Batch { rows, bad, last_line, bytes: self.records.bytes(), previous, done }))
    }

    fn next_row(&mut self) -> Result<Option<Result<Row, BadRow>>, Failure> {
        let record = self.records.next().map_err(|error| not_readable(self.file, &error))?;
        Ok(record.map(|record| {
            let read = |fields: StringRecord| {
                if self.columns.has_password(&fields) {
                    self.counts.has_passwords.set(true);
                }
                self.columns.row(record.line, &fields, &self.store)
            };
            let row = record.fields.map_err(|problem| format!("The row {problem}.")).and_then(read);
            row.map_err(|reason| (record.line, reason))
        }))
    }
}

struct Import<'a> {
    tool: &'a Tool,
    hash: &'a str,
    counts: &'a Counts,
    is_dry_run: bool,
    hashing: Hashing,
}

impl Import<'_> {
    async fn run<R: BufRead>(
        &self,
        mut batches: Batches<'_, R>,
        bar: &ProgressBar,
        rows: &mut Rows,
        begun: Instant,
    ) -> Result<(), Failure> {
        let batches = stream::iter(std::iter::from_fn(|| batches.next().transpose()));
        let working = batches.map(async |batch| self.work_on(batch?).await).buffered(BATCHES);
        let interrupted = tokio::signal::ctrl_c();
        pin_mut!(working, interrupted);
        loop {
            let done = tokio::select! {
                done = working.next() => done.transpose()?,
                _ = &mut interrupted => return Err(Failure::new(Kind::Fault, "Interrupted.")),
            };
            let Some(done) = done else { return Ok(()) };
            add(&self.counts.bad, done.bad.len());
            self.counts.line.set(done.last_line);
            bar.suspend(|| {
                done.bad.into_iter().try_for_each(|(line, reason)| rows.push(vec![json!(line), json!(reason)]))
            })?;
            bar.set_message(self.pace(begun));
            bar.set_position(done.bytes);
        }
    }

    /// Batches are looked at side by side and written one after the other. Two at a time would get into each other's way,
    /// because all check the same store, and would not be faster: a store begins as one partition, which takes 1,000 write
    /// units a second, and a customer needs four. It also lets the first of two rows that repeat each other win.
    async fn work_on(&self, batch: Batch) -> Result<Done, Failure> {
        let Batch { mut rows, mut bad, last_line, bytes, mut previous, done } = batch;
        for _ in 0..ATTEMPTS {
            rows = self.free(rows, &mut bad).await?;
            if !self.is_dry_run {
                self.hash_passwords(&mut rows).await?;
            }
            until_done(&mut previous).await;
            if rows.is_empty() || self.is_dry_run || self.write(&rows).await? {
                add(&self.counts.other_cost, rows.iter().filter(|row| row.has_other_cost()).count());
                add(&self.counts.added, rows.len());
                bad.sort_unstable_by_key(|(line, _)| *line);
                // Nobody waits for the last one.
                let _ = done.send(());
                return Ok(Done { bad, last_line, bytes });
            }
        }
        Err(Failure::new(Kind::Unavailable, "Somebody else is adding or changing the same customers at the same time."))
    }

    /// Those whose e-mail and id are free.
    async fn free(&self, rows: Vec<Row>, bad: &mut Vec<BadRow>) -> Result<Vec<Row>, Failure> {
        let keys: Vec<String> = rows.iter().flat_map(Row::keys).collect();
        if keys.is_empty() {
            return Ok(rows);
        }
        let present = self.tool.stack.customers(self.hash, keys).await?;
        let mut free = Vec::new();
        for mut row in rows {
            let [by_email, by_id] = row.keys().map(|key| present.get(&key));
            let left_over = by_id.filter(|customer| customer.is_removed());
            let by_id = by_id.filter(|customer| !customer.is_removed());
            match taken(&row, by_email, by_id) {
                Taken::No => {
                    row.tokens_valid_after = left_over.and_then(|customer| customer.tokens_valid_after);
                    free.push(row);
                }
                Taken::ByItself => add(&self.counts.already_there, 1),
                Taken::ByAnother(reason) => bad.push((row.line, reason)),
            }
        }
        Ok(free)
    }

    async fn hash_passwords(&self, rows: &mut [Row]) -> Result<(), Failure> {
        let hashed = try_join_all(rows.iter_mut().map(async |row| {
            if let Secret::Password(password) = &row.secret {
                row.secret = Secret::Hash(self.hashing.hash(password.clone()).await?);
            }
            Ok(())
        }));
        hashed.await.map(drop)
    }

    /// Writes all or nothing. Gives false if one is not free any more.
    async fn write(&self, rows: &[Row]) -> Result<bool, Failure> {
        let mut items = vec![self.tool.stack.store_exists(self.hash)?];
        for row in rows {
            if let Secret::Hash(password_hash) = &row.secret {
                let login = CustomerLogin { customer: customer(row), password_hash: password_hash.clone() };
                items.extend(self.tool.stack.customer_items(self.hash, &login)?);
            }
        }
        let refusals = self.tool.stack.write(items).await?;
        if refusals.contains(&0) {
            return Err(Failure::new(Kind::NotFound, format!("The store {} has been removed meanwhile.", self.hash)));
        }
        Ok(refusals.is_empty())
    }

    /// A failure that says how far it is. One after which nothing was changed it is no more.
    fn half_way(&self, failure: &Failure) -> Failure {
        let Counts { added, line, .. } = self.counts;
        let kind = if added.get() > 0 && !failure.leaves_doubt() { Kind::Fault } else { failure.kind };
        let up_to = match line.get() {
            0 => "The import ended before the first rows were done".into(),
            line => format!("The import ended after line {line}; all up to there is done"),
        };
        let next = if self.is_dry_run { "" } else { " The same command goes on from there." };
        Failure::new(kind, format!("{failure}\n{up_to}.{next}"))
    }

    fn rows(&self) -> u64 {
        self.counts.added.get() + self.counts.already_there.get() + self.counts.bad.get()
    }

    fn pace(&self, begun: Instant) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a rounded figure for a person")]
        let pace = self.rows() as f64 / begun.elapsed().as_secs_f64().max(0.001);
        format!("{}, {pace:.0} a second", count(self.rows(), "row"))
    }

    fn summary(&self, begun: Instant) -> String {
        let (added, so_far) = if self.is_dry_run { ("would be added", "Nothing was written. ") } else { ("added", "") };
        format!(
            "{so_far}{}: {} {added}, {} already there, {} bad; {:.1} seconds.",
            self.pace(begun),
            self.counts.added.get(),
            self.counts.already_there.get(),
            self.counts.bad.get(),
            begun.elapsed().as_secs_f64(),
        )
    }

    async fn note(&self, file: &Path, result: &str) {
        let details = json!({
            "file": file.file_name().map(|name| name.to_string_lossy()),
            "rows": self.rows(),
            "added": self.counts.added.get(),
            "alreadyThere": self.counts.already_there.get(),
            "bad": self.counts.bad.get(),
        });
        self.tool.note(Change { action: "customer import", store: Some(self.hash), details }, result).await;
    }

    /// What the person should know, or do, afterwards.
    fn advise(&self, file: &Path) {
        let other_cost = self.counts.other_cost.get();
        if other_cost > 0 {
            say(&format!(
                "{} with a hash of another cost than m=19456,t=2,p=1: their logins take another time, which tells such accounts \
                 from unknown ones until their passwords are set anew.",
                count(other_cost, "customer")
            ));
        }
        if self.counts.has_passwords.get() {
            say(&format!("{} holds passwords in clear. Delete it when it is no longer needed.", file.display()));
        }
    }
}

/// Waits for the batch before, once.
async fn until_done(previous: &mut Option<oneshot::Receiver<()>>) {
    let Some(previous) = previous.take() else { return };
    if previous.await.is_err() {
        // It has failed, and the import ends with it.
        std::future::pending::<()>().await;
    }
}

fn add(counter: &Cell<u64>, more: usize) {
    counter.set(counter.get() + u64::try_from(more).unwrap_or(0));
}

fn customer(row: &Row) -> Customer {
    Customer {
        customer_id: row.customer_id,
        email: row.email.clone(),
        channels: row.channels.clone(),
        active: row.active,
        tokens_valid_after: row.tokens_valid_after,
    }
}

/// Whether a row's e-mail or id is taken.
enum Taken {
    No,
    /// The same customer is there already.
    ByItself,
    /// The row cannot be added, and why.
    ByAnother(String),
}

fn taken(row: &Row, by_email: Option<&Customer>, by_id: Option<&Customer>) -> Taken {
    let (same_id, same_email) = (
        by_email.is_some_and(|customer| customer.customer_id == row.customer_id),
        by_id.is_some_and(|customer| email_key(&customer.email) == email_key(&row.email)),
    );
    let by_email = by_email.filter(|_| !same_id).map(|customer| {
        format!("The e-mail {} belongs to the customer {} already.", customer.email, customer.customer_id)
    });
    let by_id = by_id
        .filter(|_| !same_email)
        .map(|customer| format!("The id {} belongs to the customer {} already.", customer.customer_id, customer.email));
    let reasons: Vec<String> = by_email.into_iter().chain(by_id).collect();
    match (same_id, same_email) {
        (true, true) => Taken::ByItself,
        (false, false) if reasons.is_empty() => Taken::No,
        _ if reasons.is_empty() => Taken::ByAnother("Only half of this customer is in the store.".into()),
        _ => Taken::ByAnother(reasons.join(" ")),
    }
}
