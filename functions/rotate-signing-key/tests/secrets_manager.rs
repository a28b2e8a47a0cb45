//! The steps against a Secrets Manager, each repeated and interrupted.
//!
//! The local stack's, or another one, such as moto, at `TEST_AWS_ENDPOINT_URL`.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

use aws_sdk_secretsmanager::Client;
use local::{
    aws::{LocalAws, open_database, sdk_config},
    secrets_manager::{Secrets, SecretsManager},
    server,
};
use rotate_signing_key::{Event, RotateSigningKey, Step};
use serde_json::json;
use shared::{
    clock::Clock,
    keys::keyring::{Keyring, KeyringSecret},
};
use std::{
    env,
    sync::atomic::{AtomicU32, Ordering},
};

const NOW: u64 = 1_800_000_000;
const STEPS: [Step; 4] = [Step::CreateSecret, Step::SetSecret, Step::TestSecret, Step::FinishSecret];

struct Rotations {
    client: Client,
    function: RotateSigningKey,
    secret_id: String,
    _local_aws: Option<LocalAws>,
}

impl Rotations {
    /// A keyring as the template makes it.
    async fn new() -> Self {
        static SECRETS: AtomicU32 = AtomicU32::new(0);
        let (endpoint, local_aws) = if let Ok(endpoint) = env::var("TEST_AWS_ENDPOINT_URL") {
            (endpoint, None)
        } else {
            let aws = local_aws().await;
            (aws.server.url.clone(), Some(aws))
        };
        let client = Client::new(&sdk_config(&endpoint).await);
        let name = format!("keyring-{}-{}", std::process::id(), SECRETS.fetch_add(1, Ordering::Relaxed));
        let secret = json!({"kid": "initial", "key": "k".repeat(64)}).to_string();
        let created = client.create_secret().name(name).secret_string(secret).send().await.unwrap();
        let function = RotateSigningKey::new(client.clone(), Clock::new(|| NOW));
        Self { client, function, secret_id: created.arn.unwrap(), _local_aws: local_aws }
    }

    async fn step(&self, rotation: u32, step: Step) -> Result<(), String> {
        let client_request_token = token(rotation);
        let event = Event { secret_id: self.secret_id.clone(), client_request_token, step };
        self.function.handle(event).await.map_err(|error| error.to_string())
    }

    async fn rotate(&self, rotation: u32) {
        for step in STEPS {
            self.step(rotation, step).await.unwrap();
        }
    }

    async fn current(&self) -> KeyringSecret {
        // The stage is AWS's default, but moto's is the first version.
        let request = self.client.get_secret_value().secret_id(&self.secret_id).version_stage("AWSCURRENT");
        let text = request.send().await.unwrap().secret_string.unwrap();
        Keyring::parse(&text).unwrap();
        KeyringSecret::parse(&text).unwrap()
    }

    async fn kids(&self) -> Vec<String> {
        self.current().await.keys().map(|key| key.kid.clone()).collect()
    }

    /// Writes a keyring as an operator does.
    async fn put(&self, keyring: &KeyringSecret) {
        let text = serde_json::to_string(keyring).unwrap();
        self.client.put_secret_value().secret_id(&self.secret_id).secret_string(text).send().await.unwrap();
    }
}

async fn local_aws() -> LocalAws {
    let secrets_manager = SecretsManager::open(None, Secrets::new(), Clock::new(|| NOW)).unwrap();
    let listener = server::bind(0, "").await.unwrap();
    LocalAws::start(listener, open_database(None).unwrap(), secrets_manager).await.unwrap()
}

/// Secrets Manager's tokens are of this length.
fn token(rotation: u32) -> String {
    format!("00000000-0000-4000-8000-{rotation:012}")
}

#[tokio::test]
async fn rotations_follow_each_other_and_no_key_is_lost() {
    let rotations = Rotations::new().await;
    let first = rotations.current().await.current;
    for rotation in 1..=3 {
        rotations.rotate(rotation).await;
    }
    assert_eq!(rotations.kids().await, [token(3), token(2), token(1), "initial".into()]);
    let keyring = rotations.current().await;
    assert!(keyring.previous[2] == first);
    assert_eq!(keyring.current.signs_from, Some(NOW + 600));
}

#[tokio::test]
async fn every_step_may_be_repeated_at_any_time_after_it() {
    let rotations = Rotations::new().await;
    let mut key = None;
    for last in 0..STEPS.len() {
        for step in &STEPS[..=last] {
            for _ in 0..2 {
                rotations.step(1, *step).await.unwrap();
            }
        }
        let value = rotations.client.get_secret_value().secret_id(&rotations.secret_id).version_id(token(1));
        let pending = KeyringSecret::parse(&value.send().await.unwrap().secret_string.unwrap()).unwrap();
        assert!(*key.get_or_insert(pending.current.clone()) == pending.current, "the key changed on the way");
    }
    assert_eq!(rotations.kids().await, [token(1), "initial".into()]);
    rotations.rotate(1).await;
    assert_eq!(rotations.kids().await, [token(1), "initial".into()]);
}

#[tokio::test]
async fn the_same_step_twice_at_the_same_time_is_one() {
    let rotations = Rotations::new().await;
    for step in STEPS {
        let (one, other) = tokio::join!(rotations.step(1, step), rotations.step(1, step));
        assert_eq!((one, other), (Ok(()), Ok(())), "{step:?}");
    }
    assert_eq!(rotations.kids().await, [token(1), "initial".into()]);
}

#[tokio::test]
async fn steps_that_come_after_the_next_rotation_change_nothing() {
    let rotations = Rotations::new().await;
    for rotation in [1, 2] {
        rotations.rotate(rotation).await;
    }
    for step in STEPS {
        // Whether one fails depends on what it finds.
        let _ = rotations.step(1, step).await;
        assert_eq!(rotations.kids().await, [token(2), token(1), "initial".into()], "{step:?}");
    }
}

#[tokio::test]
async fn a_rotation_that_was_given_up_leaves_the_keyring_as_it_was_for_the_next() {
    let rotations = Rotations::new().await;
    for (rotation, steps) in [(1, 1), (2, 3)] {
        for step in &STEPS[..steps] {
            rotations.step(rotation, *step).await.unwrap();
        }
        assert_eq!(rotations.kids().await, ["initial"]);
    }
    rotations.rotate(3).await;
    assert_eq!(rotations.kids().await, [token(3), "initial".into()]);
}

#[tokio::test]
async fn a_step_out_of_turn_changes_nothing() {
    let rotations = Rotations::new().await;
    assert_eq!(rotations.step(1, Step::FinishSecret).await.unwrap_err(), "there is no new version");
    assert_eq!(rotations.kids().await, ["initial"]);
    // Secrets Manager makes a version of its own to try the step when a schedule is made.
    rotations.step(1, Step::TestSecret).await.unwrap();
    let copy = serde_json::to_string(&rotations.current().await).unwrap();
    let version = rotations.client.put_secret_value().secret_id(&rotations.secret_id).client_request_token(token(1));
    version.secret_string(copy).version_stages("AWSPENDING").send().await.unwrap();
    rotations.step(1, Step::TestSecret).await.unwrap();
    assert!(rotations.step(1, Step::FinishSecret).await.is_err());
    assert_eq!(rotations.kids().await, ["initial"]);
}

#[tokio::test]
async fn what_an_operator_changes_during_a_rotation_is_not_undone() {
    let rotations = Rotations::new().await;
    rotations.rotate(1).await;
    rotations.step(2, Step::CreateSecret).await.unwrap();
    let mut retired = rotations.current().await;
    retired.previous.clear();
    rotations.put(&retired).await;
    for step in [Step::TestSecret, Step::FinishSecret] {
        let error = rotations.step(2, step).await.unwrap_err();
        assert!(error.starts_with("the keyring was changed while it was rotated"), "{error}");
    }
    assert_eq!(rotations.kids().await, [token(1)]);
}

#[tokio::test]
async fn a_secret_that_is_not_there_or_holds_no_keyring_is_said_to() {
    let mut rotations = Rotations::new().await;
    let text = rotations.client.put_secret_value().secret_id(&rotations.secret_id).secret_string("no keyring");
    text.send().await.unwrap();
    let error = rotations.step(1, Step::CreateSecret).await.unwrap_err();
    assert_eq!(error, "the keyring secret is not of the form {kid, key, previous}");
    rotations.secret_id = "no-such-secret".into();
    let error = rotations.step(1, Step::CreateSecret).await.unwrap_err();
    assert!(error.starts_with("DescribeSecret: "), "{error}");
    assert!(error.contains("ResourceNotFoundException"), "{error}");
}
