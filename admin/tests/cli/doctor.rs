//! `b2b-auth doctor`.

use crate::support::{Ended, OperatedStack, aws_with_clock_ahead, command_at, run, run_deployed};
use serde_json::{Value, json};
use shared::tables::directory::Store;
use tests::{Fate, Proxy};

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
    let client = &stack.dynamodb;
    let items = client.scan().table_name("directory").send().await.unwrap();
    assert!(!format!("{items:?}").contains("b2b-auth-doctor"));
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
    let findings: Vec<Value> = serde_json::from_str(&ended.stdout).unwrap();
    let of_keyring = findings.iter().filter(|finding| finding["check"] == "secret: keyring");
    of_keyring.map(|finding| ["result", "finding", "mend"].map(|name| finding[name].as_str().unwrap().into())).collect()
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
    let store = |created_at| Store { channels: vec![1], created_at };
    let now = stack.clock.now();
    stack.accounts().put_store("b2b-auth-doctor", &store(now - 60)).await.unwrap();
    let ended = doctor(&stack);
    ended.succeeds();
    assert!(ended.stdout.contains("Another doctor is at work") && ended.audit().is_empty(), "{ended:?}");
    assert!(stack.directory().store("b2b-auth-doctor").await.unwrap().is_some());
    // One that was interrupted has left its store.
    stack.accounts().put_store("b2b-auth-doctor", &store(now - 3600)).await.unwrap();
    doctor(&stack).changes("doctor");
    assert!(stack.directory().store("b2b-auth-doctor").await.unwrap().is_none());
}
