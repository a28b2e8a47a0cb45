//! A week of a store in which tokens are made, replaced, deleted and used, and end: what there is, what is listed and what is
//! accepted is at each hour what a few lines without a database say.

use crate::{
    backend::tokens::ids,
    expiry::{ids_of, is_accepted, make, run, skip_ids, table_at},
};
use fastrand::Rng;
use local::demo;
use serde_json::{Value, json};
use shared::tables::tokens::EXPIRY_MARGIN;
use std::collections::BTreeMap;
use tests::{Fate, Proxy, TestStack, behind_proxy, signed_with_demo_key};

/// Seconds for which a token's own end is not yet looked at so closely.
const LEEWAY: u64 = 5;

/// What there should be of a token.
#[derive(Clone)]
struct Expected {
    token: String,
    exp: Option<u64>,
    ends_at: Option<u64>,
    replaced_by: Option<u64>,
}

impl Expected {
    fn new(token: String, exp: Option<u64>) -> Self {
        Self { token, exp, ends_at: exp, replaced_by: None }
    }

    fn is_accepted(&self, now: u64) -> bool {
        let by_record = self.replaced_by.is_none() || self.ends_at.is_none_or(|end| now < end);
        by_record && self.exp.is_none_or(|exp| now < exp + LEEWAY)
    }

    fn may_be_removed(&self, now: u64) -> bool {
        self.ends_at.is_some_and(|end| end + EXPIRY_MARGIN <= now)
    }
}

struct Week {
    stack: TestStack,
    proxy: Proxy,
    rng: Rng,
    present: BTreeMap<u64, Expected>,
    gone: Vec<String>,
    counts: BTreeMap<&'static str, u64>,
}

impl Week {
    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// The demo token stays: it does what an administrator would.
    fn any_id(&mut self) -> Option<u64> {
        let ids: Vec<_> = self.present.keys().copied().filter(|id| *id != 1).collect();
        self.rng.choice(ids)
    }

    fn remove(&mut self, id: u64) {
        let Expected { token, .. } = self.present.remove(&id).unwrap();
        self.gone.push(token);
    }

    async fn make(&mut self) {
        let now = self.stack.clock.now();
        let after = self.rng.choice([1, 60, 3295, 3300, 3600, 7200, 43_200, 86_400, 300_000]).unwrap();
        let exp = (self.rng.u32(..5) > 0).then_some(now + after);
        let record = make(&self.stack, demo::STORE, exp).await;
        let token = signed_with_demo_key(&json!(record.claims(demo::STORE)));
        assert!(self.present.insert(record.id, Expected::new(token, exp)).is_none());
        self.count("made");
    }

    async fn rotate(&mut self) {
        let Some(id) = self.any_id() else { return };
        let now = self.stack.clock.now();
        let old = self.present[&id].clone();
        let overlap = self.rng.choice([0, 1, 300, 3300, 3600, 86_400, 604_800]).unwrap();
        let latest = old.exp.unwrap_or(now + 400_000);
        let end_at = (self.rng.bool() && latest > now + 1).then(|| self.rng.u64(now + 1..=latest));
        let caller = if self.rng.bool() && old.is_accepted(now) { &old.token } else { &self.stack.demo_token };
        let body = json!({"id": id, "overlapSeconds": overlap, "endAt": end_at});
        let answer = self.stack.post("/auth/backend/rotate", &body).token(caller).send().await;
        let expected = if old.replaced_by.is_some() {
            409
        } else if old.exp.is_some_and(|exp| exp <= now) {
            404
        } else {
            200
        };
        assert_eq!(answer.status, expected, "{}", answer.body);
        if expected == 200 {
            let data = &answer.body["data"][0];
            let overlap_ends = old.exp.unwrap_or(u64::MAX).min(now + overlap);
            assert_eq!((&data["replacesId"], &data["replacedEndsAt"]), (&json!(id), &json!(overlap_ends)));
            let new_id = data["id"].as_u64().unwrap();
            let token = data["token"].as_str().unwrap().to_owned();
            assert!(self.present.insert(new_id, Expected::new(token, end_at.or(old.exp))).is_none());
            let old = self.present.get_mut(&id).unwrap();
            (old.ends_at, old.replaced_by) = (Some(overlap_ends), Some(new_id));
            self.count("replaced");
        }
    }

    async fn delete(&mut self) {
        let Some(id) = self.any_id() else { return };
        let delete =
            async |id: u64| self.stack.delete(&json!({"id": id})).token(&self.stack.demo_token).send().await.status;
        assert_eq!([delete(id).await, delete(id).await], [200, 404]);
        self.remove(id);
        self.count("deleted");
    }

    async fn expire(&mut self) {
        let now = self.stack.clock.now();
        let due: Vec<_> =
            self.present.iter().filter(|(_, token)| token.may_be_removed(now)).map(|(id, _)| *id).collect();
        match self.rng.u32(..10) {
            0..2 => {}
            2..5 => {
                let position = self.rng.usize(..3);
                let fate = if self.rng.bool() { Fate::CutOff } else { Fate::AnswerLost };
                self.proxy.rule(move |request| match (request.operation, request.earlier) {
                    ("TransactWriteItems", earlier) if earlier >= position => fate.clone(),
                    _ => Fate::Forwarded,
                });
                let table = table_at(&self.stack, &self.proxy.url).await;
                let is_cut_off = run(&self.stack, table).await.is_err();
                if is_cut_off {
                    self.count("cut off");
                }
                let left = ids_of(&self.stack, demo::STORE).await;
                for id in due.into_iter().filter(|id| !left.contains(id)) {
                    self.remove(id);
                }
            }
            _ => {
                assert_eq!(run(&self.stack, self.stack.tokens()).await, Ok(due.len() as u64));
                for id in due {
                    self.remove(id);
                    self.count("expired");
                }
            }
        }
    }

    async fn check(&mut self) {
        let now = self.stack.clock.now();
        assert_eq!(ids_of(&self.stack, demo::STORE).await, self.present.keys().copied().collect::<Vec<_>>());
        let listed = self.stack.list(&self.stack.demo_token, "?limit=250").await;
        assert_eq!(listed.total_count(), self.present.len() as u64);
        assert_eq!(ids(&listed.body).len(), self.present.len());
        for (entry, (id, expected)) in listed.body["data"].as_array().unwrap().iter().zip(&self.present) {
            let said = ["id", "token", "endAt", "replacedById"].map(|name| &entry[name]);
            let Expected { token, ends_at, replaced_by, .. } = expected;
            let expected: [Value; 4] = [json!(id), json!(token), json!(ends_at), json!(replaced_by)];
            assert_eq!(said, expected.each_ref());
        }
        // All that have ended or are about to, and some of the others.
        for expected in self.present.values() {
            if expected.ends_at.is_some_and(|end| end <= now + 300) || self.rng.u32(..16) == 0 {
                let accepted = is_accepted(&self.stack, &expected.token).await;
                assert_eq!(accepted, expected.is_accepted(now), "{}", expected.token);
            }
        }
        for token in self.gone.iter().rev().take(2) {
            assert!(!is_accepted(&self.stack, token).await, "{token} is gone");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_week_of_a_thousand_changes_ends_as_it_should() {
    let (stack, _, proxy) = behind_proxy().await;
    // Soon the next block of ids begins.
    skip_ids(&stack, demo::STORE, 200).await;
    let present = BTreeMap::from([(1, Expected::new(stack.demo_token.clone(), None))]);
    let seed = 16;
    let mut week = Week { stack, proxy, rng: Rng::with_seed(seed), present, gone: Vec::new(), counts: BTreeMap::new() };
    for _ in 0..7 * 24 {
        for _ in 0..week.rng.u32(2..6) {
            match week.rng.u32(..10) {
                0..5 => week.make().await,
                5..8 => week.rotate().await,
                _ => week.delete().await,
            }
        }
        week.expire().await;
        week.check().await;
        // So that ends, and five minutes after them, are met to the second.
        let seconds = week.rng.choice([3600, 3600, 3300, 300, 299, 1]).unwrap();
        week.stack.clock.advance(seconds);
    }
    assert!(week.counts.values().all(|count| *count > 4) && week.counts.len() == 5, "{:?}", week.counts);
}
