//! What API Gateway asks the authorizer. An input is the alias by which it is attached, if there is one, a line break, and the
//! event.

#![no_main]

use authorize_request::{UNAUTHORIZED, answer};
use fuzz::{Credential, FUZZED, members};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:authorize-request";
const MISATTACHED: &str = "The authorizer is attached wrongly.";

fuzz_target!(|input: &[u8]| {
    let input = FUZZED.with_credentials(input);
    let (alias, event) = input.split_once('\n').unwrap_or(("", &input));
    let function_arn = if alias.is_empty() { FUNCTION.to_owned() } else { format!("{FUNCTION}:{alias}") };
    let (answer, line) = FUZZED.run(answer(&FUZZED.services, &function_arn, event));
    assert_eq!(line["function"], "authorize-request");

    let status = match answer {
        Ok(answer) if answer.get("isAuthorized").is_some() => {
            if answer == json!({"isAuthorized": false}) {
                403
            } else {
                assert_eq!(answer, json!({"isAuthorized": true, "context": answer["context"]}));
                assert_may_enter(shown(&answer["context"], event), alias, event);
                200
            }
        }
        Ok(answer) => {
            let statement = &answer["policyDocument"]["Statement"][0];
            let policy = |effect: &str| {
                let resource = whole_stage(event);
                let statement = json!([{"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource}]);
                json!({"Version": "2012-10-17", "Statement": statement})
            };
            assert!(answer["principalId"].is_string());
            assert_eq!(answer.as_object().unwrap().len(), 3);
            let credential = shown(&answer["context"], event);
            if statement["Effect"] == "Deny" {
                assert_eq!(answer["policyDocument"], policy("Deny"));
                403
            } else {
                assert_eq!(answer["policyDocument"], policy("Allow"));
                assert_may_enter(credential, alias, event);
                200
            }
        }
        Err(error) if error.error_message == UNAUTHORIZED => {
            assert_eq!(error.error_type, UNAUTHORIZED);
            401
        }
        Err(error) => {
            // That is the API's owner's to mend. No input may lead to a fault of ours.
            assert_eq!((&*error.error_type, &*error.error_message), ("AuthorizerMisattached", MISATTACHED));
            500
        }
    };
    assert_eq!(line["status"], status, "{line}");
});

/// The good credential whose holder the answer names. It must stand in the headers.
fn shown(context: &Value, event: &str) -> &'static Credential {
    let headers = members(event, &["headers", "multiValueHeaders"]);
    let credential = FUZZED.good_in(&headers).find(|credential| credential.context == *context);
    credential.unwrap_or_else(|| panic!("nobody has shown the credential of {context}"))
}

fn assert_may_enter(credential: &Credential, alias: &str, event: &str) {
    let is_of_kind = match alias {
        "live" => true,
        "storefront" => credential.context["kind"] == "storefront",
        "server" => credential.context["kind"] != "storefront",
        _ => false,
    };
    assert!(is_of_kind, "{} is let in as {alias}", credential.context);
    if credential.is_limited() {
        let stage_variables = members(event, &["stageVariables"]);
        assert!(stage_variables.contains("storefront"), "the limited one is let in");
    }
}

/// What a policy may be for: the stage that the event was sent to, and no pattern that is more.
fn whole_stage(event: &str) -> String {
    let method_arn: String = serde_json::from_str(&members(event, &["methodArn"])).unwrap();
    let stage: Vec<&str> = method_arn.split('/').take(2).collect();
    assert!(stage.len() == 2 && !stage.concat().contains(['*', '?', '{']), "{method_arn}");
    format!("{}/{}/*", stage[0], stage[1])
}
