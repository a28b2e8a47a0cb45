//! What `template.yaml` counts in the logs is what is really logged, and each alarm and the dashboard are made of that.

use crate::{
    links::fragments,
    template::{NOBODY, entries, function_names, let_a_token_end, resources, template, text},
};
use expire_tokens::ExpireTokens;
use local::demo;
use serde_json::{Value, json};
use shared::{bigcommerce::Addresses, keys::rotation, tables::directory::CustomerDirectory};
use std::collections::{BTreeMap, BTreeSet};
use tests::{
    Authorizer, Call, Fate, LOG, NOW, PASSWORD, Service, Setup, TestStack, admin_login, behind_proxy, buyer_login,
    current_customer, platform_jwt, rest_event, with,
};
use yaml_rust2::Yaml;

/// A condition of a filter pattern on the members of a JSON line.
///
/// Source: `CloudWatch` Logs user guide, "Filter pattern syntax for metric filters"; what the template uses of it.
enum Pattern<'a> {
    Any(Vec<Pattern<'a>>),
    All(Vec<Pattern<'a>>),
    /// Path, operator and value.
    Comparison(&'a str, &'a str, &'a str),
    /// Path of what is not there.
    Absent(&'a str),
}

impl<'a> Pattern<'a> {
    fn of(filter: &'a Yaml) -> Self {
        let pattern = text(&filter["Properties"]["FilterPattern"]);
        Self::parse(pattern.strip_prefix("{ ").and_then(|rest| rest.strip_suffix(" }")).unwrap())
    }

    fn parse(pattern: &'a str) -> Self {
        for (operator, combine) in [(" || ", Self::Any as fn(_) -> _), (" && ", Self::All)] {
            let parts = split_outside(pattern, operator);
            if parts.len() > 1 {
                return combine(parts.into_iter().map(Self::parse).collect());
            }
        }
        if let Some(inner) = pattern.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
            return Self::parse(inner);
        }
        if let Some(path) = pattern.strip_suffix(" NOT EXISTS") {
            return Self::Absent(path);
        }
        let mut words = pattern.splitn(3, ' ');
        Self::Comparison(words.next().unwrap(), words.next().unwrap(), words.next().unwrap())
    }

    fn matches(&self, line: &Value) -> bool {
        match self {
            Self::Any(parts) => parts.iter().any(|part| part.matches(line)),
            Self::All(parts) => parts.iter().all(|part| part.matches(line)),
            Self::Absent(path) => member(line, path).is_null(),
            Self::Comparison(path, operator, value) => {
                let member = member(line, path);
                match (*operator, value.strip_prefix('"')) {
                    (_, _) if member.is_null() => false,
                    ("=", Some(value)) => is_like(member, value),
                    ("!=", Some(value)) => !is_like(member, value),
                    ("=", None) => member.as_u64() == value.parse().ok(),
                    ("!=", None) => member.as_u64() != value.parse().ok(),
                    (">=", None) => member.as_u64() >= value.parse().ok(),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn paths(&self) -> BTreeSet<&'a str> {
        match self {
            Self::Any(parts) | Self::All(parts) => parts.iter().flat_map(Self::paths).collect(),
            Self::Comparison(path, ..) | Self::Absent(path) => [*path].into(),
        }
    }
}

fn member<'a>(line: &'a Value, path: &str) -> &'a Value {
    path.strip_prefix("$.").unwrap().split('.').fold(line, |value, name| &value[name])
}

/// Whether a text is this one, which ends in a quotation mark and before that perhaps in `*`.
fn is_like(member: &Value, value: &str) -> bool {
    let value = value.strip_suffix('"').unwrap();
    let member = member.as_str().unwrap_or_default();
    value.strip_suffix('*').map_or(member == value, |beginning| member.starts_with(beginning))
}

/// The parts between an operator where it stands in no brackets.
fn split_outside<'a>(pattern: &'a str, operator: &str) -> Vec<&'a str> {
    let (mut parts, mut first) = (Vec::new(), 0);
    for (at, _) in pattern.match_indices(operator) {
        if pattern[..at].matches('(').count() == pattern[..at].matches(')').count() {
            parts.push(&pattern[first..at]);
            first = at + operator.len();
        }
    }
    parts.push(&pattern[first..]);
    parts
}

fn filters(template: &Yaml) -> BTreeMap<&str, &Yaml> {
    resources(template, "AWS::Logs::MetricFilter")
}

fn metric(filter: &Yaml) -> &str {
    let transformations = filter["Properties"]["MetricTransformations"].as_vec().unwrap();
    let [transformation] = &transformations[..] else { panic!("{transformations:?}") };
    assert_eq!(text(&transformation["MetricNamespace"]), "AWS::StackName");
    assert_eq!(text(&transformation["MetricValue"]), "1");
    text(&transformation["MetricName"])
}

/// The metrics that count a line of a log group.
fn counting<'a>(template: &'a Yaml, log_group: &str, line: &Value) -> Vec<&'a str> {
    filters(template)
        .into_values()
        .filter(|filter| text(&filter["Properties"]["LogGroupName"]) == log_group)
        .filter(|filter| Pattern::of(filter).matches(line))
        .map(metric)
        .collect()
}

fn line_of(request_id: &str) -> Value {
    let log = LOG.text();
    let line = log.lines().find(|line| line.contains(request_id)).unwrap();
    serde_json::from_str::<Value>(line).unwrap()["fields"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_a_request_is_counted_as_what_it_is() {
    let template = template();
    let (direct, stack, proxy) = behind_proxy().await;
    let exchange = || stack.exchange(&platform_jwt(&current_customer(NOW))).token(&stack.demo_token);
    let mut answers = vec![
        (stack.list(&stack.demo_token, "").await, 200, vec![]),
        (stack.list("bad", "").await, 401, vec![]),
        (stack.list(&stack.demo_token, "?limit=x").await, 422, vec![]),
        (exchange().send().await, 200, vec![]),
    ];
    for (path, body, status) in [("/auth/backend", admin_login("n"), 400), ("/auth/customers", buyer_login(), 400)] {
        let call = stack.post(path, &with(body, "password", PASSWORD)).token(&stack.demo_token);
        answers.push((call.clone().send().await, status, vec!["LoginFailures"]));
        for _ in 1..10 {
            call.clone().send().await;
        }
        answers.push((call.send().await, 429, vec!["LoginFailures"]));
    }
    direct.add_user_with_broken_hash("broken@example.com").await;
    answers.push((stack.ask_for_token(demo::STORE, "broken@example.com", PASSWORD).await, 500, vec!["Faults"]));
    for fault in [Fate::CutOff, Fate::error("ThrottlingException"), Fate::internal_error()] {
        proxy.fault_of(Service::DynamoDb, fault);
        answers.push((stack.list(&stack.demo_token, "").await, 503, vec!["DatabaseErrors", "Faults"]));
        answers.push((
            stack.delete(&json!({"id": 1})).token(&stack.demo_token).send().await,
            503,
            vec!["DatabaseErrors", "Faults"],
        ));
    }
    let asked = || stack.protected("/stock").bearer(&stack.demo_token);
    answers.push((asked().send().await, 500, vec!["AuthorizerFaults"]));
    proxy.forward_all();
    answers.push((asked().send().await, 200, vec![]));
    answers.push((asked().token("x").send().await, 401, vec![]));
    proxy.set_app_secret(r#"{"clientId":"","clientSecret":""}"#);
    stack.clock.advance(300);
    answers.push((exchange().send().await, 503, vec!["UnusableApp"]));
    proxy.fault_of(Service::SecretsManager, Fate::internal_error());
    let cold = direct.fresh_functions(&proxy.url).await;
    answers.push((cold.list(&cold.demo_token, "").await, 503, vec!["Faults"]));
    for (answer, status, counted) in answers {
        assert_eq!(answer.status, status, "{}", answer.body);
        let line = line_of(&answer.request_id);
        assert_eq!(counting(&template, "FunctionLogGroup", &line), counted, "{line}");
    }
}

#[tokio::test]
async fn an_authorizer_that_an_owner_has_attached_wrongly_wakes_nobody() {
    let stack = TestStack::start().await;
    let mut event = rest_event(&json!({}));
    event["requestContext"]["requestId"] = "attached-wrongly".into();
    assert_eq!(Authorizer::of(&stack).ask("", &event).await.status(), 500);
    let line = line_of("attached-wrongly");
    assert_eq!(counting(&template(), "FunctionLogGroup", &line), Vec::<&str>::new(), "{line}");
    assert_eq!(line["error"], "The authorizer is attached wrongly.");
}

#[tokio::test]
async fn what_a_customer_directory_fails_at_is_counted_apart() {
    let template = template();
    let mut setup = Setup::default();
    setup.configuration.bigcommerce.addresses = Addresses::of_stand_in(NOBODY);
    setup.configuration.bigcommerce.calls_per_window = 10;
    let stack = TestStack::start_with(setup).await;
    stack.set_customer_directory(demo::STORE, CustomerDirectory::BigCommerce).await;
    let login = || stack.post("/auth/customers", &buyer_login());
    let issue = || stack.post("/auth/customers/storefront", &json!({"customerId": demo::BUYER_ID}));
    let check = async |call: Call, status, counted| {
        let answer = call.token(&stack.demo_token).send().await;
        assert_eq!(answer.status, status, "{}", answer.body);
        let line = line_of(&answer.request_id);
        assert_eq!(counting(&template, "FunctionLogGroup", &line), [counted], "{line}");
    };
    // There is no secret yet.
    for call in [login(), issue()] {
        check(call, 503, "CustomerDirectoryRefusals").await;
    }
    stack.put_bigcommerce_secret(demo::STORE, &demo::bigcommerce_secret(&stack.configuration).1).await;
    // Each is tried twice, and logins have three fifths of the budget.
    for call in [login(), issue(), login(), issue(), issue()] {
        check(call, 503, "CustomerDirectoryFaults").await;
    }
    for call in [login(), issue()] {
        check(call, 429, "CustomerDirectoryBusy").await;
    }
}

#[tokio::test]
async fn a_full_store_is_counted_apart() {
    let mut setup = Setup::default();
    setup.configuration.max_tokens_per_store = 1;
    let stack = TestStack::start_with(setup).await;
    let answer = stack.post("/auth/backend", &admin_login("n")).send().await;
    assert_eq!(answer.status, 507);
    assert_eq!(counting(&template(), "FunctionLogGroup", &line_of(&answer.request_id)), ["FullStores"]);
}

#[test]
fn lambdas_own_lines_are_counted_where_a_function_failed() {
    let template = template();
    // Source: Lambda developer guide, "Telemetry API event schema reference", `platform.report` and `Status`.
    for (kind, status, error_type, counted) in [
        ("platform.report", "success", None, [].as_slice()),
        ("platform.report", "error", None, &["FunctionErrors"]),
        ("platform.report", "error", Some("Runtime.ExitError"), &["FunctionErrors"]),
        ("platform.report", "error", Some("Runtime.OutOfMemory"), &["FunctionErrors"]),
        // Of an authorizer, that somebody gets a 401; under which name was not tried.
        ("platform.report", "error", Some("Unauthorized"), &[]),
        ("platform.report", "error", Some("Runtime.Unknown"), &[]),
        ("platform.report", "failure", None, &["FunctionErrors"]),
        ("platform.report", "timeout", None, &["FunctionErrors"]),
        ("platform.runtimeDone", "timeout", None, &[]),
    ] {
        let mut record = json!({"requestId": "r", "status": status});
        if let Some(error_type) = error_type {
            record["errorType"] = error_type.into();
        }
        let line = json!({"time": "2026-11-25T00:00:00.000Z", "type": kind, "record": record});
        assert_eq!(counting(&template, "FunctionLogGroup", &line), counted, "{line}");
    }
    let overdue = json!({"level": "ERROR", "message": rotation::OVERDUE, "days": 93});
    assert_eq!(counting(&template, "FunctionLogGroup", &overdue), ["OverdueRotations"]);
}

#[test]
fn the_gateways_lines_are_counted_where_it_answered_by_itself() {
    let template = template();
    let format = &template["Resources"]["Api"]["Properties"]["AccessLogSetting"]["Format"];
    let members: Value = serde_json::from_str(text(format)).unwrap();
    let used: BTreeSet<_> = filters(&template)
        .into_values()
        .filter(|filter| text(&filter["Properties"]["LogGroupName"]) == "ApiLogGroup")
        .flat_map(|filter| Pattern::of(filter).paths())
        .collect();
    assert!(used.iter().all(|path| members[&path[2..]].is_string()), "{used:?}");
    // All values are texts, and what is not there is a dash.
    for (status, error, function, counted) in [
        ("200", "-", "200", [].as_slice()),
        ("401", "-", "200", &[]),
        // Answers of the functions have lines of their own.
        ("503", "-", "200", &[]),
        ("404", "MISSING_AUTHENTICATION_TOKEN", "-", &[]),
        ("429", "THROTTLED", "-", &["ThrottledRequests"]),
        ("503", "INTEGRATION_FAILURE", "429", &["FunctionThrottles", "Faults"]),
        ("503", "INTEGRATION_TIMEOUT", "-", &["Faults"]),
        ("500", "API_CONFIGURATION_ERROR", "-", &["Faults"]),
    ] {
        let line = json!({"status": status, "error": error, "integrationStatus": function});
        assert_eq!(counting(&template, "ApiLogGroup", &line), counted, "{line}");
    }
}

#[tokio::test]
async fn the_dashboard_counts_what_expire_tokens_removes() {
    let stack = TestStack::start().await;
    let_a_token_end(&stack).await;
    let removed = ExpireTokens::new(stack.tokens(), stack.clock.clock()).run(u64::MAX).await.unwrap();
    let log = LOG.text();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines = lines.filter(|line| line["target"] == "expire_tokens" && line["level"] == "INFO");
    let line = lines.map(|mut line| line["fields"].take()).find(|line| line["removed"] == removed).unwrap();
    let template = template();
    let body = text(&template["Resources"]["CloudWatchDashboard"]["Properties"]["DashboardBody"][0]);
    assert!(body.contains(&format!("filter message = {} or", line["message"]).replace('"', "'")), "{line}");
    assert!(body.contains("sum(removed)"));
}

#[test]
fn each_alarm_says_what_to_do_and_is_told_to_somebody() {
    let template = template();
    let sections = fragments(include_str!("../../docs/operating.md"));
    for (name, alarm) in resources(&template, "AWS::CloudWatch::Alarm") {
        let properties = &alarm["Properties"];
        let description = text(&properties["AlarmDescription"]);
        assert!(["Now. ", "By day. "].iter().any(|urgency| description.starts_with(urgency)), "{name}: {description}");
        let section = description.split("docs/operating.md#").nth(1).unwrap().split([';', '.']).next().unwrap();
        assert!(sections.contains(section), "{name}: {section}");
        for actions in ["AlarmActions", "OKActions"] {
            let topics = properties[actions].as_vec().unwrap().iter();
            let topics: Vec<_> = topics.map(|topic| (text(&topic[0]), text(&topic[1]))).collect();
            assert_eq!(topics, [("HasAlarmEmail", "AlarmTopic"), ("HasAlarmTopic", "AlarmTopicArn")], "{name}");
        }
        assert_eq!(text(&properties["TreatMissingData"]), "notBreaching", "{name}");
    }
}

#[test]
fn all_that_is_counted_raises_an_alarm() {
    let template = template();
    let counted: BTreeSet<_> =
        filters(&template).into_values().map(|filter| (metric(filter), filter["Condition"].as_str())).collect();
    let alarmed: BTreeSet<_> = resources(&template, "AWS::CloudWatch::Alarm")
        .into_values()
        .filter(|alarm| alarm["Properties"]["Namespace"].as_str() == Some("AWS::StackName"))
        .map(|alarm| (text(&alarm["Properties"]["MetricName"]), alarm["Condition"].as_str()))
        .collect();
    assert_eq!(counted, alarmed);
}

#[test]
fn the_dashboard_shows_every_alarm_function_and_metric() {
    let template = template();
    let body = &template["Resources"]["CloudWatchDashboard"]["Properties"]["DashboardBody"];
    let (body, conditional) = (text(&body[0]), &body[1]);
    // What takes the place of a name that is there on a condition only, and of all other names.
    let optional: BTreeSet<_> = entries(conditional).map(|(name, _)| format!("{name}Alarm")).collect();
    let expanded = entries(conditional).fold(body.to_owned(), |body, (name, value)| {
        assert_eq!(text(&value[1]), format!("\"${{{name}Alarm.Arn}}\","));
        body.replace(&format!("${{{name}}}"), text(&value[1]))
    });
    let dashboard: Value = serde_json::from_str(&expanded).unwrap();

    let shown = dashboard["widgets"][0]["properties"]["alarms"].as_array().unwrap();
    let shown: BTreeSet<_> = shown.iter().map(|alarm| alarm.as_str().unwrap().to_owned()).collect();
    let alarms = resources(&template, "AWS::CloudWatch::Alarm")
        .into_iter()
        .inspect(|(name, alarm)| assert_eq!(alarm["Condition"].is_badvalue(), !optional.contains(*name), "{name}"))
        .map(|(name, _)| format!("${{{name}.Arn}}"));
    assert_eq!(shown, alarms.collect());

    for function in function_names(&template).into_keys() {
        assert_eq!(expanded.matches(&format!("\"${{{function}}}\"")).count(), 2, "{function}");
    }
    for filter in filters(&template).into_values() {
        assert!(expanded.contains(&format!("\"{}\"]", metric(filter))), "{}", metric(filter));
    }
}
