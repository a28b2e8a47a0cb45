//! `b2b-auth token rotate`.

use super::{
    filter::{Filter, for_each_chosen},
    list,
};
use crate::{
    audit::{Change, Steps},
    failure::{Failure, Kind},
    output::{Rows, count, ranges, say, utc},
    tool::Tool,
    values::{StoreArgument, duration},
};
use clap::Args;
use serde_json::{Value, json};
use shared::{
    fault::Fault,
    keys::jwt::{self, DAY, LEEWAY},
    services::Services,
    tables::{
        reads::together,
        tokens::{EventChannel, NotCreated, NotRotated, Rotation, TokenRecord},
    },
};
use std::time::Duration;

/// Seconds for which a token may stay good after it was replaced, as in `POST /auth/backend/rotate`.
const MAX_OVERLAP: u64 = 7 * DAY;

const COLUMNS: &[&str] = &["id", "name", "replacesId", "replacedEndsAt", "token"];

#[derive(Args)]
pub struct RotateArguments {
    #[command(flatten)]
    store: StoreArgument,
    /// Their ids. Without them --issued-before is needed: a second run must not replace what the first has made.
    ids: Vec<u64>,
    /// All of the store that were issued before then, as far as the other options apply to them.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// How long the old tokens stay good, unless they end before: at most 7d, or 0s.
    #[arg(long, value_parser = overlap, value_name = "DURATION", default_value = "24h")]
    overlap: u64,
    /// Show what would be replaced, and replace nothing.
    #[arg(long)]
    dry_run: bool,
    /// The store's hash again, instead of being asked for it.
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
}

fn overlap(text: &str) -> Result<u64, String> {
    match duration(text)? {
        seconds if seconds <= MAX_OVERLAP => Ok(seconds),
        _ => Err("must be at most 7d".into()),
    }
}

pub async fn run(tool: &Tool, arguments: &RotateArguments) -> Result<(), Failure> {
    let RotateArguments { store, ids, all, filter, overlap, dry_run, confirm } = arguments;
    let (store, overlap, now) = (store.hash.as_str(), *overlap, tool.stack.services.clock.now());
    check(ids, filter, now).await?;
    let mut rows = dry_run.then(|| list::rows(tool, Some(store)));
    let mut chosen = Vec::new();
    let mut left_out = Vec::new();
    for_each_chosen(tool, Some(store), ids, filter, |token| {
        if no_longer(&token.record, now).is_some() {
            left_out.push(token.record);
            return Ok(());
        }
        if let Some(rows) = &mut rows {
            rows.push(list::row(&token, Some(store)))?;
        }
        chosen.push(token.record);
        Ok(())
    })
    .await?;
    if ids.is_empty() {
        tell_of(&left_out, now);
    } else {
        let mut why = left_out.iter().filter_map(|token| no_longer(token, now));
        if chosen.is_empty() {
            return why.next().map_or(Ok(()), Err);
        }
        why.for_each(|why| say(&why.message));
    }
    let in_all = count(chosen.len() as u64, "token");
    if let Some(rows) = rows {
        rows.end()?;
        say(&format!("Would replace: {in_all}."));
        return Ok(());
    }
    if chosen.is_empty() {
        tool.output.rows(COLUMNS).end()?;
        say("There is no such token.");
        return Ok(());
    }
    if ids.is_empty() {
        let end = match overlap {
            0 => "at once".to_owned(),
            _ => format!("at {}, if not before", utc(now.saturating_add(overlap))),
        };
        let says = format!(
            "This replaces {in_all} of the store {store}. The old ones end {end}: whoever calls with one then is refused."
        );
        tool.confirm(&says, store, confirm.as_deref())?;
    }
    let mut details = filter.described();
    if *all {
        details["all"] = json!(true);
    }
    details["overlap"] = json!(overlap);
    let made = replace(tool, store, overlap, &chosen, details).await?;
    say(&format!("Replaced: {}.", count(made, "token")));
    match chosen.len() as u64 - made {
        0 => Ok(()),
        left => Err(not_all(left)),
    }
}

/// That a second run will not replace what this one makes: it makes all of that after the time that is given.
async fn check(ids: &[u64], filter: &Filter, now: u64) -> Result<(), Failure> {
    let Some(time) = filter.issued_before() else {
        let says = format!(
            "Which tokens? Give ids, or --issued-before, such as --issued-before {}, by which a second run does not replace what the \
             first has made; and with it --all, --key, --email, --expiring-within or --unused-since.",
            utc(now)
        );
        return if ids.is_empty() { Err(Failure::new(Kind::Invalid, says)) } else { Ok(()) };
    };
    let ahead = time.saturating_sub(now);
    if ahead > LEEWAY {
        let says = "--issued-before lies in the future: a second run would replace what the first has made.";
        return Err(Failure::new(Kind::Invalid, says));
    }
    // It may be now, by another clock.
    tokio::time::sleep(Duration::from_secs(ahead)).await;
    Ok(())
}

/// Why a token is not replaced that has been or has ended. It may have been by an earlier attempt at the same.
fn no_longer(token: &TokenRecord, now: u64) -> Option<Failure> {
    let id = token.id;
    if let Some(by) = token.replaced_by {
        let says = format!("The token {id} has been replaced already, by the token {by}.");
        return Some(Failure::new(Kind::Conflict, says));
    }
    has_ended(token, now).then(|| Failure::new(Kind::NotFound, format!("The token {id} has ended.")))
}

fn has_ended(token: &TokenRecord, now: u64) -> bool {
    token.ends_at.is_some_and(|end| end <= now)
}

/// After a leak it counts which of those that are left out are still good.
fn tell_of(left_out: &[TokenRecord], now: u64) {
    let ended = left_out.iter().filter(|token| has_ended(token, now)).count();
    for (number, what) in [
        (ended, "Left out, because they have ended"),
        (left_out.len() - ended, "Left out, because they were replaced already; good until their overlap is over"),
    ] {
        if number > 0 {
            say(&format!("{what}: {}.", count(number as u64, "token")));
        }
    }
}

/// That some could not be replaced, for reasons that were said.
fn not_all(left: u64) -> Failure {
    let says = match left {
        1 => "One token was not replaced. Why stands above.".to_owned(),
        _ => format!("{left} tokens were not replaced. Why stands above."),
    };
    Failure::new(Kind::NotGood, says)
}

/// Replaces them, and prints each new one as it is made. Gives how many there are.
async fn replace(
    tool: &Tool,
    store: &str,
    overlap: u64,
    chosen: &[TokenRecord],
    mut details: Value,
) -> Result<u64, Failure> {
    details["count"] = json!(chosen.len());
    details["ids"] = json!(ranges(&chosen.iter().map(|token| token.id).collect::<Vec<_>>()));
    tool.change_in_steps(Change { action: "token rotate", store: Some(store), details }, async |steps| {
        let like: Vec<_> = chosen.iter().map(|old| row(old.id, old, "")).collect();
        let rows = tool.output.rows(COLUMNS).at_once(&like)?;
        steps.expect(Some(chosen.len() as u64), "token");
        let mut rotations = Rotations { tool, store, overlap, steps, rows, old_ids: Vec::new(), new_ids: Vec::new() };
        let outcome = rotations.replace(chosen).await;
        steps.add("ids", ranges(&rotations.old_ids));
        steps.add("newIds", ranges(&rotations.new_ids));
        let printed = rotations.rows.end();
        outcome.and(printed)?;
        match steps.done() {
            0 => Err(not_all(chosen.len() as u64)),
            made => Ok(made),
        }
    })
    .await
}

/// The replacement of tokens of a store, one after the other: each writes the store's counter.
struct Rotations<'a> {
    tool: &'a Tool,
    store: &'a str,
    overlap: u64,
    steps: &'a Steps,
    rows: Rows,
    /// Those that were replaced.
    old_ids: Vec<u64>,
    /// Those in their places.
    new_ids: Vec<u64>,
}

impl Rotations<'_> {
    async fn replace(&mut self, chosen: &[TokenRecord]) -> Result<(), Failure> {
        for old in chosen {
            self.steps.go_on()?;
            let why = match self.replacement(old).await {
                Ok((new, token)) => {
                    self.show(old, &new, &token)?;
                    continue;
                }
                Err(why) => self.why_not(old, why)?,
            };
            self.steps.aside(|| say(&why));
        }
        Ok(())
    }

    /// Makes a token in the place of this one.
    async fn replacement(&self, old: &TokenRecord) -> Result<(TokenRecord, String), NotRotated> {
        let Services { tokens, directory, keyring, clock, configuration, .. } = &self.tool.stack.services;
        let maker = directory.token_maker_check(self.store, &old.email, None)?;
        let (keyring, counter) = tokio::join!(keyring.get(), together(tokens.counter(self.store)));
        let (keyring, now) = (keyring?, clock.now());
        let key = keyring.signing_key(now);
        let rotation = Rotation {
            store_hash: self.store,
            old,
            overlap: self.overlap,
            exp: None,
            kid: &key.kid,
            event_channel: EventChannel::Admin,
            idempotency_key: None,
            counter: counter?,
            max: configuration.max_tokens_per_store,
            now,
        };
        let new = tokens.rotate(&rotation, &[], &maker).await?;
        let token = jwt::sign(&new.claims(self.store), key);
        Ok((new, token))
    }

    /// Shows a new token, this once.
    fn show(&mut self, old: &TokenRecord, new: &TokenRecord, token: &str) -> Result<(), Failure> {
        let Self { steps, rows, store, .. } = self;
        self.old_ids.push(old.id);
        self.new_ids.push(new.id);
        steps.did(1);
        steps.aside(|| rows.push(row(old.id, new, token))).map_err(|failure| {
            let message = format!(
                "{failure}\nThe token {new} was made in the place of the token {old}, and not shown. To have one that is: \
                 b2b-auth token rotate {new} --store {store} --overlap 0s\nIt is also in the list of GET /backend/tokens.",
                new = new.id,
                old = old.id,
            );
            Failure::new(failure.kind, message.trim_start())
        })
    }

    /// Why a token was not replaced, where the others are all the same.
    ///
    /// # Errors
    /// Where they are not either.
    fn why_not(&self, old: &TokenRecord, why: NotRotated) -> Result<String, Failure> {
        let (id, store) = (old.id, self.store);
        Ok(match why {
            NotRotated::MakerForbidden => format!(
                "The token {id} is not replaced: its maker {} may make no more tokens, being disabled, removed, or neither \
                 administrator nor store owner.",
                old.email
            ),
            NotRotated::Replaced { by } => format!("The token {id} was replaced meanwhile, by the token {by}."),
            NotRotated::NoSuchToken => format!("The token {id} was revoked meanwhile, or has ended."),
            NotRotated::NotCreated(full @ NotCreated::Full { .. }) => {
                let Failure { kind, message } = full.into();
                let hint = if self.overlap == 0 {
                    ""
                } else {
                    " With --overlap 0s a new one takes the place of the old at once."
                };
                return Err(Failure::new(kind, message + hint));
            }
            NotRotated::NotCreated(why) => {
                let failure = Failure::from(why);
                let message = format!(
                    "{failure}\nIf the token {id} was replaced, `b2b-auth token show {id} --store {store}` says by which, and that one was \
                     not shown. To have one that is, rotate it."
                );
                return Err(if failure.leaves_doubt() { Failure::new(failure.kind, message) } else { failure });
            }
            NotRotated::EndsTooEarly | NotRotated::EndsTooLate | NotRotated::CheckFailed { .. } => {
                return Err(Fault::in_words("a rotation is refused for what it does not ask").into());
            }
        })
    }
}

/// A row with the new token.
fn row(old_id: u64, new: &TokenRecord, token: &str) -> Vec<Value> {
    let ends_at = new.replaces.map(|replaced| replaced.ends_at);
    vec![json!(new.id), json!(new.name), json!(old_id), json!(ends_at), json!(token)]
}
