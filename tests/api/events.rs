//! The sample events of `events/` come out as `events/outcomes.json` says.

use crate::template::{endpoints, function_names, template};
use axum::body::to_bytes;
use expire_tokens::ExpireTokens;
use local::{demo, gateway::Functions};
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path};
use tests::{Authorizer, Setup, TestStack};

#[derive(Deserialize)]
struct Outcome {
    event: String,
    function: String,
    /// That of the authorizer's answer is the one that the API's caller gets.
    status: Option<u16>,
    /// What introspection tells.
    active: Option<bool>,
    /// Of what answers no request, how many tokens it says that it removed.
    removed: Option<u64>,
}

#[tokio::test]
async fn every_sample_event_has_its_outcome() {
    let environment: Value = serde_json::from_str(include_str!("../../events/env.json")).unwrap();
    let allowed_origins = environment["Parameters"]["ALLOWED_ORIGINS"].as_str().unwrap();
    let stack = TestStack::start_with(Setup::for_pages_of(allowed_origins)).await;
    let clock = stack.clock.clock();
    let functions = Functions::new(&stack.dynamodb, &stack.secrets, &stack.configuration, &clock);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events");
    let outcomes: Vec<Outcome> =
        serde_json::from_str(&fs::read_to_string(folder.join("outcomes.json")).unwrap()).unwrap();
    let template = template();
    let names = function_names(&template);
    let with_events: BTreeSet<_> = outcomes.iter().map(|outcome| outcome.function.as_str()).collect();
    assert_eq!(with_events, endpoints(&template).into_iter().chain(["AuthorizeRequest", "ExpireTokens"]).collect());
    let authorizer = Authorizer::of(&stack);
    // In their order: what is created is deleted.
    for Outcome { event, function, status, active, removed } in &outcomes {
        let text = fs::read_to_string(folder.join(event)).unwrap();
        // The one thing that cannot be written down for good.
        let text = text.replace("\"JWT\"", &format!("{:?}", demo::current_customer_jwt(clock.now())));
        if function == "ExpireTokens" {
            // It takes whatever it is sent.
            serde_json::from_str::<Value>(&text).unwrap();
            let function = ExpireTokens::new(stack.tokens(), clock.clone());
            assert_eq!(function.run(u64::MAX).await.ok(), *removed, "{event}");
            continue;
        }
        if function == "AuthorizeRequest" {
            let entry = authorizer.ask("live", &serde_json::from_str(&text).unwrap()).await;
            assert_eq!(Some(entry.status()), *status, "{event}: {entry:?}");
            continue;
        }
        let answer = functions.invoke(names[function.as_str()], &text).await.unwrap();
        assert_eq!(Some(answer.status().as_u16()), *status, "{event}: {answer:?}");
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let told = serde_json::from_slice(&body).ok().and_then(|body: Value| body["active"].as_bool());
        assert_eq!(told, *active, "{event}");
    }
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let events: BTreeSet<_> = files.filter(|file| !["env.json", "outcomes.json"].contains(&file.as_str())).collect();
    assert_eq!(events, outcomes.into_iter().map(|outcome| outcome.event).collect());
}
