//! `b2b-auth doctor`.

use crate::{
    across_stores::set,
    support::{Ended, OperatedStack, aws_with_clock_ahead, aws_with_stack, command_at, in_store, run, run_deployed},
};
use axum::{Router, http::StatusCode};
use local::{demo, server, server::Server};
use serde_json::{Value, json};
use shared::{
    clock::Clock,
    tables::{
        directory::Store,
        items::{number, string},
    },
};
use std::time::Duration;
use tests::{Fate, Proxy, Setup, TestStack, demo_key, eventually, new_key, with};

/// What stands beside the one thing that is bad.
#[track_caller]
fn complaint(ended: &Ended, says: &str, mend: &str) {
    ended.fails(8, "bad.");
    let findings: Vec<Value> = serde_json::from_str(&ended.stdout).unwrap();
    let bad: Vec<_> = findings.iter().filter(|finding| finding["result"] == "BAD").collect();
    let text = |name: &str| bad[0][name].as_str().unwrap();
    assert!(bad.len() == 1 && text("finding").contains(says) && text("mend").contains(mend), "{says}: {bad:?}");
}

fn doctor(stack: &OperatedStack) -> Ended {
    stack.b2b_auth(&["--output", "json", "doctor"])
}

/// What the doctor says under this name, as result, finding and mend.
#[track_caller]
fn said(ended: &Ended, check: &str) -> Vec<[String; 3]> {
    let findings: Vec<Value> = serde_json::from_str(&ended.stdout).unwrap();
    let of_check = findings.iter().filter(|finding| finding["check"] == check);
    of_check.map(|finding| ["result", "finding", "mend"].map(|name| finding[name].as_str().unwrap().into())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_works_is_good_and_nothing_of_the_visit_is_left() {
    let stack = OperatedStack::start().await;
    let before = stack.json(&["store", "list"]);
    for _ in 0..2 {
        let ended = doctor(&stack);
        ended.changes("doctor");
        let findings: Vec<Value> = serde_json::from_str(&ended.stdout).unwrap();
        assert!(findings.iter().all(|finding| finding["result"] == "good"), "{ended:?}");
        let round = findings.iter().find(|finding| finding["check"] == "round").unwrap();
        assert_eq!(round["finding"], "8 calls of the API, from a login to a deleted token, went as they should.");
    }
    assert_eq!(stack.json(&["store", "list"]), before);
    for table in ["directory", "tokens"] {
        let items = stack.dynamodb.scan().table_name(table).send().await.unwrap();
        assert!(!format!("{items:?}").contains("b2b-auth-doctor"), "{table}: {items:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_gone_is_named() {
    let stack = OperatedStack::start().await;
    let client = &stack.dynamodb;
    client.delete_table().table_name("login-attempts").send().await.unwrap();
    complaint(&doctor(&stack), "There is no table login-attempts.", "Bring it back under the same name");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyring_that_cannot_be_used_is_told() {
    let stack = OperatedStack::start().await;
    for (text, says) in [(r#"{"kid": "x", "key": "short"}"#, "a key of less than 32 bytes"), ("{}", "not of the form")]
    {
        stack.put_keyring(text).await;
        complaint(&doctor(&stack), says, "Move AWSCURRENT back");
    }
}

/// What the doctor says of the keyring of a deployed stack, as result, finding and mend, where AWS answers this to
/// `GetResourcePolicy` and says this of replicas.
async fn keyring_of_a_deployed_stack(stack: &OperatedStack, policy: Fate, replicas: Value) -> Vec<[String; 3]> {
    let proxy = Proxy::start(stack.aws_url()).await;
    let secret = json!({"Name": "keyring", "ReplicationStatus": replicas});
    proxy.rule(move |request| match request.operation {
        "GetResourcePolicy" => policy.clone(),
        "DescribeSecret" => Fate::Answered(200, secret.clone()),
        _ => Fate::Forwarded,
    });
    let aws = aws_with_clock_ahead(&proxy.url, 0).await;
    let ended = run_deployed(&aws.url, &["--output", "json", "doctor", "--read-only"]);
    said(&ended, "secret: keyring")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyring_that_anybody_may_delete_is_doubtful() {
    let stack = OperatedStack::start().await;
    let secret = |policy: Value| json!({"ARN": "keyring", "Name": "keyring", "ResourcePolicy": policy.to_string()});
    let denial = |condition: Value| {
        secret(json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Deny", "Principal": "*", "Action": "secretsmanager:DeleteSecret", "Resource": "*", "Condition": condition,
        }]}))
    };
    let but_for = |who: &str| denial(json!({"ArnNotLike": {"aws:PrincipalArn": who}}));
    let how = "docs/operating.md says under \"The keyring is gone\" how to put the policy there.";
    let access_denied = json!({"__type": "AccessDeniedException", "message": "not authorized to perform: secretsmanager:GetResourcePolicy"});
    for (answer, result, finding, mend) in [
        (
            Fate::Answered(200, json!({"ARN": "keyring", "Name": "keyring"})),
            "doubtful",
            "It has no resource policy",
            how,
        ),
        (Fate::Answered(200, but_for("*")), "doubtful", "does not deny secretsmanager:DeleteSecret to everybody.", how),
        (
            Fate::Answered(200, but_for("arn:aws:iam::1:role/break-glass")),
            "good",
            "Its resource policy lets nobody delete it but arn:aws:iam::1:role/break-glass.",
            "",
        ),
        (Fate::Answered(400, access_denied), "BAD", "It could not be looked at.", "secretsmanager:GetResourcePolicy"),
    ] {
        let said = keyring_of_a_deployed_stack(&stack, answer, json!([])).await;
        assert_eq!(said.len(), 2, "{said:?}");
        let [its_result, its_finding, its_mend] = &said[1];
        assert_eq!(its_result, result, "{said:?}");
        assert!(its_finding.contains(finding) && its_mend.contains(mend), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_of_the_keyring_that_failed_are_bad() {
    let stack = OperatedStack::start().await;
    let replicas = json!([
        {"Region": "eu-west-1", "Status": "InSync"},
        {"Region": "eu-west-2", "Status": "InProgress"},
        {"Region": "eu-west-3", "Status": "Failed", "StatusMessage": "A secret of this name exists in the region."},
    ]);
    let said = keyring_of_a_deployed_stack(&stack, Fate::Answered(200, json!({"Name": "keyring"})), replicas).await;
    let expected = [
        ["good", "Its replica in eu-west-1 is in sync.", ""],
        ["doubtful", "Its replica in eu-west-2 is not in sync, but InProgress.", "Look again in some minutes."],
        [
            "BAD",
            "Its replica in eu-west-3 failed: A secret of this name exists in the region.",
            "Mend what it names. Then aws secretsmanager remove-regions-from-replication --secret-id keyring \
             --remove-replica-regions eu-west-3, and aws secretsmanager replicate-secret-to-regions --secret-id keyring \
             --add-replica-regions Region=eu-west-3",
        ],
    ];
    assert_eq!(said[2..], expected.map(|finding| finding.map(str::to_owned)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_not_set_is_doubtful_but_not_bad() {
    let stack = OperatedStack::start().await;
    let secrets = &stack.secrets;
    let empty = r#"{"clientId":"","clientSecret":""}"#;
    secrets.put_secret_value().secret_id("app").secret_string(empty).send().await.unwrap();
    let ended = doctor(&stack);
    ended.changes("doctor");
    assert!(
        ended.stdout.contains(r#""result":"doubtful","finding":"The app's client id and secret are not set"#),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("7 calls of the API"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_cannot_be_used_is_told() {
    let stack = OperatedStack::start().await;
    for (text, says) in [
        (r#"{"clientId":"a","clientSecret":"too-short"}"#, "its clientSecret is shorter than 16 bytes."),
        (r#"{"clientId":"a","clientSecret":""}"#, "its clientSecret is missing or empty."),
        ("client-id:client-secret", "the app secret is set, but is not JSON."),
    ] {
        stack.secrets.put_secret_value().secret_id("app").secret_string(text).send().await.unwrap();
        complaint(&doctor(&stack), says, "Fill it in anew");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_cannot_be_reached_or_is_another_is_told() {
    let stack = OperatedStack::start().await;
    let at = |url: &str| run(command_at(stack.aws_url(), url, &["--output", "json", "doctor"]), "");
    complaint(&at("http://127.0.0.1:1/api/io"), "cannot be reached", "Check the network, and --api-url");
    complaint(&at(&stack.url), "404 instead of 401", "Check --api-url");
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_work_on_other_data_are_told() {
    let (stack, other) = (OperatedStack::start().await, OperatedStack::start().await);
    let ended = run(command_at(stack.aws_url(), &other.api_url(), &["--output", "json", "doctor"]), "");
    complaint(&ended, "create-backend-token, the right password: 400 instead of 200", "do not fit together");
    assert_eq!(stack.json(&["store", "list"]).as_array().unwrap().len(), 2, "its store is removed all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctors_do_not_get_into_each_others_way() {
    let stack = OperatedStack::start().await;
    let store = |created_at| Store { channels: vec![1], created_at, ..Store::default() };
    let now = stack.clock.now();
    // Of one that is at work or was killed a minute ago, and of two that were killed long ago, one of them while it removed its own.
    stack.accounts().put_store("b2b-auth-doctor-1", &store(now - 60)).await.unwrap();
    stack.accounts().put_store("b2b-auth-doctor-2", &store(now - 3600)).await.unwrap();
    stack.accounts().put_store("b2b-auth-doctor-3", &store(now - 3600)).await.unwrap();
    let own = [("pk", "b2b-auth-doctor-3"), ("sk", "STORE")].map(|(name, text)| (name.into(), string(text)));
    stack.dynamodb.delete_item().table_name("directory").set_key(Some(own.into())).send().await.unwrap();
    let ended = doctor(&stack);
    ended.succeeds();
    assert_eq!(said(&ended, "round")[0][0], "good", "{ended:?}");
    let audit = ended.audit();
    let stores: Vec<_> = audit.iter().map(|line| line["store"].as_str().unwrap()).collect();
    assert!(audit.iter().all(|line| line["audit"] == "doctor" && line["result"] == "done"), "{ended:?}");
    assert!(stores[..2] == ["b2b-auth-doctor-2", "b2b-auth-doctor-3"] && stores.len() == 3, "{ended:?}");
    let left: Vec<_> =
        stack.json(&["store", "list"]).as_array().unwrap().iter().map(|row| row["store"].clone()).collect();
    assert_eq!(left, ["b2b-auth-doctor-1", demo::STORE, demo::OTHER_STORE]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_that_is_killed_half_way_leaves_nothing_that_the_next_one_stumbles_over() {
    let stack = OperatedStack::start().await;
    let killed = stack.start_tool(stack.aws_url(), &["doctor"]);
    let has_begun = async || stack.json(&["store", "list"]).as_array().unwrap().len() == 3;
    eventually(has_begun).await;
    killed.signal("-KILL");
    assert_eq!(killed.ended().await.code, None);
    let ended = doctor(&stack);
    ended.succeeds();
    let findings: Vec<Value> = serde_json::from_str(&ended.stdout).unwrap();
    assert!(findings.iter().all(|finding| finding["result"] == "good"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_comes_too_late_or_too_early_is_the_clocks_fault_and_not_the_credentials() {
    for (code, message) in [
        (
            "SignatureDoesNotMatch",
            "Signature expired: 20270115T070000Z is now earlier than 20270115T075500Z (20270115T080000Z - 5 min.)",
        ),
        (
            "InvalidSignatureException",
            "Signature not yet current: 20270115T090000Z is still later than 20270115T080500Z (20270115T080000Z + 5 min.)",
        ),
        ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
    ] {
        let body = format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        );
        let answer = move || async move { (StatusCode::FORBIDDEN, [("Content-Type", "text/xml")], body) };
        let aws = Server::start(server::bind(0, "").await.unwrap(), Router::new().fallback(answer)).unwrap();
        complaint(
            &run_deployed(&aws.url, &["--output", "json", "doctor"]),
            "It cannot be looked at.",
            "This machine's clock is minutes off",
        );
        run_deployed(&aws.url, &["store", "list"]).fails(6, "This machine's clock is minutes off");
    }
}

/// The demo key with another of its values.
fn demo_key_with(name: &str, value: &str) -> String {
    with(demo_key(), name, value).to_string()
}

const OTHER_KEY: &str = "another-0123456789abcdef0123456789abcdef";

#[tokio::test(flavor = "multi_thread")]
async fn live_tokens_whose_key_is_not_in_the_keyring_are_bad() {
    let stack = OperatedStack::start().await;
    let create = |name: &str| {
        let user = ["--email", demo::ADMIN_EMAIL, "--name", name];
        stack.b2b_auth(&[&in_store(&["token", "create"]), &user[..]].concat()).succeeds();
    };
    create("second");
    assert_eq!(said(&doctor(&stack), "live tokens")[0][..2], ["good", "The keys of all are in the keyring: 2 tokens."]);
    // Warm functions hold the keyring from before.
    stack.put_keyring(&new_key().to_string()).await;
    // The first becomes the version before the current one, which it differs from in nothing.
    stack.put_keyring(&with(new_key(), "signsFrom", 1).to_string()).await;
    let ended = doctor(&stack);
    complaint(
        &ended,
        "2 live tokens of demostore carry a key that is not in the keyring, and are refused: demo.",
        "AWSCURRENT",
    );
    assert_eq!(
        said(&ended, "round"),
        [["skipped", "Left out, until what is bad above is mended.", ""].map(str::to_owned)]
    );
    // Those that have ended or are revoked are nobody's any more.
    stack.b2b_auth(&["token", "revoke", "--store", demo::STORE, "--all", "--confirm", demo::STORE]).succeeds();
    assert_eq!(said(&doctor(&stack), "live tokens")[0][..2], ["good", "The keys of all are in the keyring: 0 tokens."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyring_in_which_a_key_has_become_another_is_bad_without_a_look_at_the_tokens() {
    let stack = OperatedStack::start().await;
    let read_only = ["--output", "json", "doctor", "--read-only"];
    let renamed = demo_key_with("kid", "renamed");
    let replaced = demo_key_with("key", OTHER_KEY);
    for (keyring, says) in [
        (&renamed, "The key demo is called renamed now, so what it has signed is refused."),
        (&replaced, "Another key has taken the place of demo, so what that has signed is refused."),
    ] {
        stack.put_keyring(&demo_key().to_string()).await;
        // Which of both is the later is told by seconds here.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        stack.put_keyring(keyring).await;
        complaint(&stack.b2b_auth(&read_only), says, "Move AWSCURRENT back");
        // As it says.
        let (current, previous) = versions(&stack).await;
        let back = stack.secrets.update_secret_version_stage().secret_id("keyring").version_stage("AWSCURRENT");
        back.remove_from_version_id(current).move_to_version_id(previous).send().await.unwrap();
        let ended = stack.b2b_auth(&read_only);
        ended.succeeds();
        for check in ["live tokens", "round"] {
            assert_eq!(said(&ended, check)[0][..2], ["skipped", "Left out, because of --read-only."], "{ended:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_that_only_reads_reads_no_items() {
    let stack = OperatedStack::start().await;
    let proxy = Proxy::start(stack.aws_url()).await;
    stack.start_tool(&proxy.url, &["doctor", "--read-only"]).ended().await.succeeds();
    let operations: Vec<_> = proxy.take_requests().into_iter().map(|(operation, _)| operation).collect();
    let is_about_items = |operation: &&String| !operation.starts_with("Describe") && *operation != "GetSecretValue";
    assert_eq!(operations.iter().find(is_about_items), None, "the role that deploys may not");
    stack.start_tool(&proxy.url, &["doctor"]).ended().await.succeeds();
    assert_eq!(proxy.seen("Scan"), 1);
}

/// The versions of the keyring that have the labels `AWSCURRENT` and `AWSPREVIOUS`.
async fn versions(stack: &OperatedStack) -> (String, String) {
    let described = stack.secrets.describe_secret().secret_id("keyring").send().await.unwrap();
    let versions = described.version_ids_to_stages.unwrap();
    let with =
        |label: &str| versions.iter().find(|(_, stages)| stages.iter().any(|stage| stage == label)).unwrap().0.clone();
    (with("AWSCURRENT"), with("AWSPREVIOUS"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_round_is_compared_with_the_keyring_as_it_is_now() {
    let replaced = demo_key_with("key", OTHER_KEY);
    // A function that holds a keyring goes on with it for five minutes. The version before it must be the same, or that is told.
    let stack = OperatedStack::start().await;
    assert_eq!(stack.list(&demo::token(), "").await.status, 200);
    for _ in 0..2 {
        stack.put_keyring(&replaced).await;
    }
    complaint(&doctor(&stack), "list-backend-tokens, a good token: 401 instead of 200", "look again in 5 minutes");
    let stack = OperatedStack::start().await;
    stack.create_token("warm").await;
    for _ in 0..2 {
        stack.put_keyring(&replaced).await;
    }
    let ended = doctor(&stack);
    complaint(
        &ended,
        "create-backend-token signs with another key demo than the keyring has",
        "look again in 5 minutes",
    );
    assert_eq!(stack.json(&["store", "list"]).as_array().unwrap().len(), 2, "its store is removed all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_disagree_are_told_to_be_set() {
    for ahead in [-3600, 3600] {
        let clock = Clock::new(move || Clock::system().now().saturating_add_signed(ahead));
        let stack = TestStack::start_with(Setup { clock, ..Setup::default() }).await;
        let ended = run(command_at(stack.aws_url(), &stack.api_url(), &["--output", "json", "doctor"]), "");
        complaint(
            &ended,
            "exchange-customer-jwt, a good JWT: 401 instead of 200",
            "The functions' clock and this machine's are 36",
        );
        assert!(!ended.stdout.contains("Deploy again"), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_than_the_tools_is_doubtful() {
    let stack = OperatedStack::start().await;
    for (version, result, says, mend) in [
        (Some(env!("CARGO_PKG_VERSION")), "good", "as this tool is", ""),
        (Some("0.0.9"), "doubtful", "The stack is 0.0.9, and this tool 0.", "Deploy 0."),
        (Some("10.0.0"), "doubtful", "The stack is 10.0.0, and this tool 0.", "Build this tool anew"),
        (Some("unknown"), "doubtful", "The stack is unknown, and this tool 0.", "Deploy 0."),
        (None, "doubtful", "has no output Version", "Deploy again"),
    ] {
        let aws = aws_with_stack(stack.aws_url(), 0, version).await;
        let ended = run_deployed(&aws.url, &["--output", "json", "doctor", "--read-only"]);
        let [[found, finding, advice]] = &said(&ended, "version")[..] else { panic!("{ended:?}") };
        assert!(found == result && finding.contains(says) && advice.starts_with(mend), "{version:?}: {ended:?}");
    }
    assert!(said(&doctor(&stack), "version").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_ended_long_ago_and_are_still_there_are_doubtful() {
    let stack = OperatedStack::start().await;
    let now = stack.clock.now();
    let set = async |hours: u64| {
        set(&stack, demo::STORE, 1, "ends_at", Some(number(now - hours * 3600))).await;
        set(&stack, demo::STORE, 1, "expiry_shard", Some(number(5))).await;
        said(&doctor(&stack), "ended tokens").remove(0)
    };
    assert_eq!(set(25).await, ["good", "None ended more than 26 hours ago.", ""]);
    let [result, finding, mend] = set(27).await;
    assert_eq!(result, "doubtful");
    assert!(
        finding.starts_with("Tokens of demostore that ended more than 26 hours ago are still there: expire-tokens")
    );
    assert!(mend.starts_with("`cargo run` removes them"), "{mend}");
    let proxy = Proxy::start(stack.aws_url()).await;
    let backups = json!({"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED"}});
    proxy.fault_in("DescribeContinuousBackups", Fate::Answered(200, backups));
    let aws = aws_with_clock_ahead(&proxy.url, 0).await;
    let deployed = run_deployed(&aws.url, &["--output", "json", "doctor"]);
    let [_, _, mend] = said(&deployed, "ended tokens").remove(0);
    assert!(mend.contains("log group /aws/lambda/b2b-auth says of expire-tokens why"), "{mend}");

    let read_only = stack.b2b_auth(&["--output", "json", "doctor", "--read-only"]);
    assert_eq!(said(&read_only, "ended tokens")[0][0], "skipped");
    proxy.rule(|request| match request.body["IndexName"].as_str() {
        Some("expiring-tokens") => Fate::error("ValidationException"),
        _ => Fate::Forwarded,
    });
    let without_index = stack.start_tool(&proxy.url, &["--output", "json", "doctor"]).ended().await;
    complaint(&without_index, "its index expiring-tokens may be missing", "Deploy again");
}
