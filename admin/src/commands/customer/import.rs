//! `b2b-auth customer import`.
//!
//! However long the file is, only a few batches of it are in memory. What an earlier run has added is found there and skipped,
//! so the same command goes on where one was interrupted.

mod batches;
mod counts;
mod records;
mod row;
mod work;

use super::input;
use crate::{
    audit::{Change, Steps},
    failure::{Failure, Kind},
    output::{Rows, count, progress, say},
    tool::Tool,
    values::StoreArgument,
};
use batches::Batches;
use clap::Args;
use counts::{Counts, add};
use futures_util::{StreamExt, pin_mut, stream};
use indicatif::ProgressBar;
use serde_json::json;
use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    time::Instant,
};
use work::Work;

/// Batches that are worked on at the same time.
const BATCHES: usize = 8;

#[derive(Args)]
pub struct ImportArguments {
    /// CSV file; `-` for what another program writes to standard input.
    file: PathBuf,
    #[command(flatten)]
    store: StoreArgument,
    /// Only say what would be done. What the file itself has twice shows only when it is imported.
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(tool: &Tool, arguments: &ImportArguments) -> Result<(), Failure> {
    let store = tool.store_of_table(&arguments.store.hash).await?;
    let file = input::open(&arguments.file)?;
    let size = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    let counts = Counts::default();
    let batches = Batches::begin(BufReader::new(file), &arguments.file, store, &counts)?;
    let import = Import { tool, arguments, counts: &counts, begun: Instant::now(), bar: progress(size) };

    let mut rows = tool.output.rows(&["line", "reason"]);
    let add = async |steps: &Steps| {
        let outcome = import.run(batches, &mut rows, steps).await;
        import.bar.finish_and_clear();
        import.describe(steps);
        let printed = rows.end();
        say(&import.summary());
        import.advise();
        outcome.map_err(|failure| import.half_way(&failure)).map(|()| printed)
    };
    let printed = if arguments.dry_run {
        add(&Steps::begin().await?).await
    } else {
        let details = json!({"file": arguments.file.file_name().map(|name| name.to_string_lossy())});
        tool.record(Change { action: "customer import", store: Some(&arguments.store.hash), details }, add).await
    };
    printed??;
    match counts.bad.get() {
        0 => Ok(()),
        1 => Err(Failure::new(Kind::NotGood, "One row is bad, as listed. Mend it and run the same command again.")),
        bad => Err(Failure::new(
            Kind::NotGood,
            format!("{bad} rows are bad, as listed. Mend them and run the same command again."),
        )),
    }
}

struct Import<'a> {
    tool: &'a Tool,
    arguments: &'a ImportArguments,
    counts: &'a Counts,
    begun: Instant,
    bar: ProgressBar,
}

impl Import<'_> {
    async fn run<R: BufRead>(
        &self,
        mut batches: Batches<'_, R>,
        bad_rows: &mut Rows,
        steps: &Steps,
    ) -> Result<(), Failure> {
        let Self { tool, arguments, counts, .. } = self;
        let work = Work::new(&tool.stack.accounts, &arguments.store.hash, counts, arguments.dry_run, steps);
        let batches = stream::iter(std::iter::from_fn(|| batches.next().transpose()));
        let working = batches.map(async |batch| work.on(batch?).await).buffered(BATCHES);
        pin_mut!(working);
        // What is being written is waited for, so that the counts are right.
        let mut printed = Ok(());
        while let Some(done) = working.next().await {
            let done = match done {
                Ok(done) => done,
                Err(failure) => return printed.and(Err(failure)),
            };
            add(&counts.bad, done.bad.len());
            counts.line.set(done.last_line);
            if printed.is_ok() {
                printed = self.bar.suspend(|| {
                    done.bad.into_iter().try_for_each(|(line, reason)| bad_rows.push(vec![json!(line), json!(reason)]))
                });
                if printed.is_err() {
                    steps.stop();
                }
            }
            self.bar.set_message(self.pace());
            self.bar.set_position(done.bytes);
        }
        printed
    }

    /// A failure that says how far it is.
    fn half_way(&self, failure: &Failure) -> Failure {
        let up_to = match self.counts.line.get() {
            0 => "The import ended before the first rows were done".into(),
            line => format!("The import ended after line {line}; all up to there is done"),
        };
        let next = if self.arguments.dry_run { "" } else { " The same command goes on from there." };
        Failure::new(failure.kind, format!("{failure}\n{up_to}.{next}"))
    }

    fn pace(&self) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a rounded figure for a person")]
        let pace = self.counts.rows() as f64 / self.begun.elapsed().as_secs_f64().max(0.001);
        format!("{}, {pace:.0} a second", count(self.counts.rows(), "row"))
    }

    fn summary(&self) -> String {
        let (added, so_far) =
            if self.arguments.dry_run { ("would be added", "Nothing was written. ") } else { ("added", "") };
        format!(
            "{so_far}{}: {} {added}, {} already there, {} bad; {:.1} seconds.",
            self.pace(),
            self.counts.added.get(),
            self.counts.already_there.get(),
            self.counts.bad.get(),
            self.begun.elapsed().as_secs_f64(),
        )
    }

    /// What the line after it says.
    fn describe(&self, steps: &Steps) {
        let Counts { added, already_there, bad, .. } = self.counts;
        for (name, number) in [
            ("rows", self.counts.rows()),
            ("added", added.get()),
            ("alreadyThere", already_there.get()),
            ("bad", bad.get()),
        ] {
            steps.add(name, number);
        }
    }

    /// What the person should know, or do, afterwards.
    fn advise(&self) {
        let other_cost = self.counts.other_cost.get();
        if other_cost > 0 {
            say(&format!(
                "{} with a hash of another cost than m=19456,t=2,p=1: their logins may take a fifth less time, which tells such \
                 accounts from unknown ones until their passwords are set anew.",
                count(other_cost, "customer")
            ));
        }
        if self.counts.has_passwords.get() {
            let file = self.arguments.file.display();
            say(&format!("{file} holds passwords in clear. Delete it when it is no longer needed."));
        }
    }
}
