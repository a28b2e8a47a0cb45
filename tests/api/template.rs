//! `template.yaml` agrees with `openapi.yaml`, with the local stack, with the envelope and with what the functions do.

use local::{
    demo,
    gateway::{PREFIXES, ROUTES},
};
use serde_json::{Value, json};
use shared::{
    http::{envelope::error_response, error::Error},
    tables::{directory::Scope, login_attempts::WINDOW},
};
use std::collections::{BTreeMap, BTreeSet};
use tests::{
    Call, NOW, TestStack, admin_login, behind_proxy, buyer_login, current_customer, decode, eventually, platform_jwt,
    with,
};
use yaml_rust2::{Yaml, YamlLoader};

/// The template's short forms, such as `!Ref A` and `!GetAtt A.B`, are read as their text alone.
pub fn template() -> Yaml {
    YamlLoader::load_from_str(include_str!("../../template.yaml")).unwrap().remove(0)
}

fn text(yaml: &Yaml) -> &str {
    yaml.as_str().unwrap()
}

pub fn entries(yaml: &Yaml) -> impl Iterator<Item = (&str, &Yaml)> {
    yaml.as_hash().unwrap().iter().map(|(key, value)| (text(key), value))
}

/// Name of each function in the template, and its own name.
pub fn function_names(template: &Yaml) -> BTreeMap<&str, &str> {
    entries(&template["Resources"])
        .filter(|(_, resource)| text(&resource["Type"]) == "AWS::Serverless::Function")
        .map(|(name, resource)| (name, text(&resource["Properties"]["CodeUri"]).strip_prefix("functions/").unwrap()))
        .collect()
}

/// Names in the template of the functions that answer requests.
pub fn endpoints(template: &Yaml) -> BTreeSet<&str> {
    let has_events = |name: &&str| !template["Resources"][*name]["Properties"]["Events"].is_badvalue();
    function_names(template).into_keys().filter(has_events).collect()
}

#[test]
fn routes_are_those_of_the_description_and_of_the_local_stack() {
    let description = YamlLoader::load_from_str(include_str!("../../openapi.yaml")).unwrap().remove(0);
    let described: BTreeSet<_> = entries(&description["paths"])
        .flat_map(|(path, item)| entries(item).map(move |(method, operation)| (method, path, operation)))
        .filter(|(_, _, operation)| !operation["operationId"].is_badvalue())
        .map(|(method, path, operation)| (method.to_uppercase(), path, text(&operation["operationId"])))
        .collect();
    let local = ROUTES.iter().map(|route| (route.method.to_string(), route.path, route.function)).collect();
    assert_eq!(described, local);

    let expected: BTreeSet<_> = PREFIXES
        .iter()
        .flat_map(|prefix| ROUTES.iter().map(move |route| (prefix, route)))
        .map(|(prefix, route)| (route.method.to_string(), format!("{prefix}{}", route.path), route.function))
        .collect();
    let template = template();
    let names = function_names(&template);
    let paths = &template["Resources"]["Api"]["Properties"]["DefinitionBody"]["paths"];
    let integrated: BTreeSet<_> = entries(paths)
        .flat_map(|(path, item)| entries(item).map(move |(method, operation)| (method, path, operation)))
        .map(|(method, path, operation)| {
            let uri = text(&operation["x-amazon-apigateway-integration"]["uri"]);
            let function = uri.split("/functions/${").nth(1).unwrap().split(".Arn}").next().unwrap();
            (method.to_uppercase(), path.to_owned(), names[function])
        })
        .collect();
    assert_eq!(integrated, expected);
    let permitted: BTreeSet<_> = names
        .iter()
        .flat_map(|(resource, name)| {
            let events = &template["Resources"][*resource]["Properties"]["Events"];
            events.as_hash().into_iter().flatten().map(move |(_, event)| (&event["Properties"], *name))
        })
        .map(|(event, name)| (text(&event["Method"]).to_owned(), text(&event["Path"]).to_owned(), name))
        .collect();
    assert_eq!(permitted, expected);
}

#[test]
fn routes_that_hash_passwords_have_the_login_throttle() {
    let template = template();
    let throttled: BTreeSet<_> = template["Resources"]["Api"]["Properties"]["MethodSettings"]
        .as_vec()
        .unwrap()
        .iter()
        .filter(|settings| settings["ThrottlingRateLimit"].as_str() == Some("LoginsPerSecond"))
        .map(|settings| {
            (text(&settings["HttpMethod"]).to_owned(), text(&settings["ResourcePath"])[1..].replace("~1", "/"))
        })
        .collect();
    let hashing: BTreeSet<_> = function_names(&template)
        .into_keys()
        .map(|name| &template["Resources"][name]["Properties"])
        .filter(|function| function["MemorySize"].as_str() == Some("PasswordFunctionMemory"))
        .flat_map(|function| entries(&function["Events"]).map(|(_, event)| &event["Properties"]))
        .map(|event| (text(&event["Method"]).to_owned(), text(&event["Path"]).to_owned()))
        .collect();
    assert_eq!(throttled, hashing);
    assert_eq!(throttled.len(), 4);
}

/// What API Gateway answers by itself, with the type that stands for it where it has no entry, and our status for it.
///
/// Source: API Gateway developer guide, "Gateway response types for API Gateway".
const GATEWAY_RESPONSE_TYPES: [(&str, &str, i64); 19] = [
    ("ACCESS_DENIED", "DEFAULT_4XX", 403),
    ("API_CONFIGURATION_ERROR", "DEFAULT_5XX", 500),
    ("AUTHORIZER_CONFIGURATION_ERROR", "DEFAULT_5XX", 500),
    ("AUTHORIZER_FAILURE", "DEFAULT_5XX", 500),
    ("BAD_REQUEST_BODY", "DEFAULT_4XX", 400),
    ("BAD_REQUEST_PARAMETERS", "DEFAULT_4XX", 400),
    ("EXPIRED_TOKEN", "DEFAULT_4XX", 401),
    ("INTEGRATION_FAILURE", "DEFAULT_5XX", 503),
    ("INTEGRATION_TIMEOUT", "DEFAULT_5XX", 503),
    ("INVALID_API_KEY", "DEFAULT_4XX", 403),
    ("INVALID_SIGNATURE", "DEFAULT_4XX", 404),
    ("MISSING_AUTHENTICATION_TOKEN", "DEFAULT_4XX", 404),
    ("QUOTA_EXCEEDED", "DEFAULT_4XX", 429),
    ("REQUEST_TOO_LARGE", "DEFAULT_4XX", 413),
    ("RESOURCE_NOT_FOUND", "DEFAULT_4XX", 404),
    ("THROTTLED", "DEFAULT_4XX", 429),
    ("UNAUTHORIZED", "DEFAULT_4XX", 401),
    ("UNSUPPORTED_MEDIA_TYPE", "DEFAULT_4XX", 415),
    ("WAF_FILTERED", "DEFAULT_4XX", 403),
];

#[test]
fn what_the_gateway_answers_by_itself_is_in_the_envelope() {
    let template = template();
    let mut statuses = BTreeMap::new();
    for (kind, response) in entries(&template["Resources"]["Api"]["Properties"]["GatewayResponses"]) {
        let headers = &response["ResponseParameters"]["Headers"];
        let header = |name: &str| headers[name].as_str().map(|value| value.trim_matches('\'').to_owned());
        let body = text(&response["ResponseTemplates"]["application/json"]);
        let status = response["StatusCode"].as_i64().unwrap();
        check_answer(kind, status, body, header);
        statuses.insert(kind, status);
    }
    for (kind, default, status) in GATEWAY_RESPONSE_TYPES {
        let answered = statuses.remove(kind).or_else(|| statuses.get(default).copied());
        assert_eq!(answered, Some(status), "{kind}");
    }
    assert_eq!(statuses.into_keys().collect::<Vec<_>>(), ["DEFAULT_4XX", "DEFAULT_5XX"], "no type of API Gateway's");

    let web_acl = &template["Resources"]["WebAcl"]["Properties"];
    for rule in web_acl["Rules"].as_vec().unwrap() {
        let response = &rule["Action"]["Block"]["CustomResponse"];
        let headers = response["ResponseHeaders"].as_vec().unwrap();
        let header = |name: &str| {
            headers.iter().find(|header| text(&header["Name"]) == name).map(|header| text(&header["Value"]).to_owned())
        };
        let body = text(&web_acl["CustomResponseBodies"][text(&response["CustomResponseBodyKey"])]["Content"]);
        check_answer(text(&rule["Name"]), response["ResponseCode"].as_i64().unwrap(), body, header);
    }
}

fn check_answer(kind: &str, status: i64, body: &str, header: impl Fn(&str) -> Option<String>) {
    let answer: Value = serde_json::from_str(body).unwrap();
    let err_msg = answer["data"]["errMsg"].as_str().unwrap();
    let message = match status {
        400 => "Bad Request",
        401 => err_msg,
        403 => "Forbidden",
        404 => "Not Found Error",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        other => panic!("{kind}: {other} is no status of the contract"),
    };
    let envelope = json!({
        "code": status, "data": {"errMsg": err_msg}, "meta": {"message": message}, "detail": err_msg,
    });
    assert_eq!(answer, envelope, "{kind}");
    for (name, value) in [
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Strict-Transport-Security", "max-age=31536000"),
    ] {
        assert_eq!(header(name).as_deref(), Some(value), "{kind}: {name}");
    }
    let retry_after = header("Retry-After");
    assert_eq!(retry_after.is_some(), [429, 503].contains(&status), "{kind}");
    if let Some(seconds) = retry_after {
        assert!(err_msg.contains(&format!(" {seconds} second")), "{kind}: {err_msg}");
    }
    // The functions say the same.
    let same = match status {
        401 => Error::InvalidToken(""),
        404 => Error::NoSuchRoute,
        415 => Error::UnsupportedMediaType,
        500 => Error::Internal(String::new()),
        503 => Error::Unavailable(String::new()),
        _ => return,
    };
    let same = error_response(&same);
    assert_eq!(same.body().as_ref(), body.as_bytes(), "{kind}");
    let seconds = same.headers().get("Retry-After").map(|seconds| seconds.to_str().unwrap().to_owned());
    assert_eq!(seconds, header("Retry-After"), "{kind}");
}

#[test]
fn what_a_mistake_could_destroy_is_kept() {
    let template = template();
    let mut kept = 0;
    for (name, resource) in entries(&template["Resources"]) {
        let kind = text(&resource["Type"]);
        if ["AWS::DynamoDB::Table", "AWS::SecretsManager::Secret"].contains(&kind) {
            for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
                assert_eq!(resource[policy].as_str(), Some("Retain"), "{name}");
            }
            kept += 1;
        }
        if kind == "AWS::DynamoDB::Table" {
            let table = &resource["Properties"];
            assert_eq!(table["DeletionProtectionEnabled"].as_bool(), Some(true), "{name}");
            let recovery = &table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"];
            assert_eq!(recovery.as_bool(), Some(true), "{name}");
        }
    }
    assert_eq!(kept, 5);
}

#[test]
fn the_login_alarm_counts_what_the_functions_log_of_a_failed_login() {
    let template = template();
    for (filter, error) in [
        ("CreateBackendTokenFailures", Error::IncorrectCredentials),
        ("LoginCustomerFailures", Error::CustomerAuthFailed),
    ] {
        let pattern = text(&template["Resources"][filter]["Properties"]["FilterPattern"]);
        let status = Error::TooManyFailedLogins { retry_after: 1 }.status().0;
        let beginning = pattern
            .strip_prefix(&format!("{{ $.status = {status} || $.error = \""))
            .and_then(|rest| rest.strip_suffix("\" }"))
            .unwrap();
        let said = error.to_string();
        assert!(beginning == said || said.starts_with(beginning.strip_suffix('*').unwrap()), "{pattern}");
    }
}

#[test]
fn sam_local_sets_all_variables_of_the_functions() {
    let template = template();
    let variables: BTreeSet<_> =
        entries(&template["Globals"]["Function"]["Environment"]["Variables"]).map(|(name, _)| name).collect();
    let set: Value = serde_json::from_str(include_str!("../../events/env.json")).unwrap();
    assert_eq!(variables, set["Parameters"].as_object().unwrap().keys().map(String::as_str).collect());
}

/// Calls by which a function does all that it ever does, by the name of its role.
fn calls_by_role(stack: &TestStack) -> [(&'static str, Vec<Call>); 6] {
    let create = |body: &Value| stack.post("/auth/backend", body);
    let login = |body: &Value| stack.post("/auth/customers", body);
    let issue = |body: &Value| stack.post("/auth/customers/storefront", body);
    [
        (
            "CreateBackendTokenRole",
            vec![create(&admin_login("n")), create(&with(admin_login("n"), "password", "wrong"))],
        ),
        ("DeleteBackendTokenRole", vec![stack.delete(&json!({"id": 1})), stack.delete(&json!({}))]),
        ("ListBackendTokensRole", vec![stack.get("/backend/tokens"), stack.get("/backend/tokens?limit=x")]),
        (
            "ExchangeCustomerJwtRole",
            vec![
                stack.exchange(&platform_jwt(&current_customer(NOW))),
                stack.exchange("x"),
                stack.get("/auth/storefront"),
            ],
        ),
        (
            "LoginCustomerRole",
            vec![
                login(&buyer_login()),
                login(&with(buyer_login(), "password", "wrong")),
                login(&with(buyer_login(), "storeHash", demo::OTHER_STORE)),
                login(&json!({})),
            ],
        ),
        ("IssueStorefrontTokenRole", vec![issue(&json!({"customerId": demo::BUYER_ID})), issue(&json!({}))]),
    ]
}

/// An action, and the resource of the template that it is on.
type Grant = (String, String);

/// A request, or one of the items of a transaction.
struct Part {
    /// What a caller must be allowed to send it.
    grant: Grant,
    is_of_transaction: bool,
    body: Value,
}

fn parts(operation: &str, body: &Value) -> Vec<Part> {
    let resource = |name: &Value| match name.as_str().unwrap() {
        name if name.starts_with("tokens") => "TokensTable".to_owned(),
        name if name.starts_with("directory") => "DirectoryTable".to_owned(),
        name if name.starts_with("login-attempts") => "LoginAttemptsTable".to_owned(),
        name if name.starts_with("keyring") => "KeyringSecret".to_owned(),
        name if name.starts_with("app") => "AppSecret".to_owned(),
        other => panic!("{other}"),
    };
    let alone = |grant| vec![Part { grant, is_of_transaction: false, body: body.clone() }];
    match operation {
        "GetSecretValue" => alone((format!("secretsmanager:{operation}"), resource(&body["SecretId"]))),
        "TransactWriteItems" => {
            let items = body["TransactItems"].as_array().unwrap().iter().flat_map(|item| item.as_object().unwrap());
            let action = |name: &str| match name {
                "ConditionCheck" | "Delete" | "Put" | "Update" => format!("dynamodb:{name}Item"),
                other => panic!("{other}"),
            };
            let part = |(name, item): (&String, &Value)| {
                let grant = (action(name), resource(&item["TableName"]));
                Part { grant, is_of_transaction: true, body: item.clone() }
            };
            items.map(part).collect()
        }
        _ => alone((format!("dynamodb:{operation}"), resource(&body["TableName"]))),
    }
}

/// What the role allows, but for its log and traces, and on which condition.
fn grants<'a>(template: &'a Yaml, role: &str) -> BTreeMap<Grant, &'a Yaml> {
    let policy = &template["Resources"][role]["Properties"]["Policies"][0]["PolicyDocument"];
    let mut grants = BTreeMap::new();
    for statement in policy["Statement"].as_vec().unwrap() {
        let on = text(&statement["Resource"]).trim_end_matches(".Arn");
        for action in statement["Action"].as_vec().unwrap().iter().map(text) {
            if !action.starts_with("logs:") && !action.starts_with("xray:") {
                let earlier = grants.insert((action.to_owned(), on.to_owned()), &statement["Condition"]);
                assert!(earlier.is_none(), "{role} allows {action} twice");
            }
        }
    }
    grants
}

/// The attributes that an update names: those of its key, and all in its expressions, be they written or compared.
fn attributes(update: &Value) -> BTreeSet<&str> {
    const WORDS: [&str; 7] = ["SET", "ADD", "AND", "OR", "attribute_exists", "attribute_not_exists", "if_not_exists"];
    let names = &update["ExpressionAttributeNames"];
    let expressions = ["UpdateExpression", "ConditionExpression"].map(|name| update[name].as_str().unwrap_or_default());
    let words = expressions.into_iter().flat_map(|text| text.split([' ', ',', '(', ')', '=', '<', '>', '+', '-']));
    let in_expressions = words
        .filter(|word| !word.is_empty() && !word.starts_with(':') && !WORDS.contains(word))
        .map(|word| names[word].as_str().unwrap_or(word));
    update["Key"].as_object().unwrap().keys().map(String::as_str).chain(in_expressions).collect()
}

/// That the condition lets all these updates through, and as few others as can be said.
fn check_condition(condition: &Yaml, updates: &[&Part], role: &str) {
    let listed = condition["ForAllValues:StringEquals"]["dynamodb:Attributes"].as_vec().unwrap().iter().map(text);
    let named = updates.iter().flat_map(|update| attributes(&update.body));
    assert_eq!(listed.collect::<BTreeSet<_>>(), named.collect(), "{role}");

    assert_eq!(
        condition["StringNotEquals"]["dynamodb:EnclosingOperation"].as_str(),
        Some("TransactWriteItems"),
        "{role}"
    );
    let returned = condition["StringEqualsIfExists"]["dynamodb:ReturnValues"].as_str().unwrap();
    for update in updates {
        assert_eq!(update.body["ReturnValues"].as_str().unwrap_or("NONE"), returned, "{role}");
    }
}

#[tokio::test]
async fn each_role_allows_just_what_its_function_does() {
    let (direct, stack, proxy) = behind_proxy().await;
    let template = template();
    let calls_by_role = calls_by_role(&stack);
    let roles: BTreeSet<_> = endpoints(&template).into_iter().map(|name| format!("{name}Role")).collect();
    assert_eq!(calls_by_role.iter().map(|(role, _)| (*role).to_owned()).collect::<BTreeSet<_>>(), roles);
    let update_tokens = ("dynamodb:UpdateItem".to_owned(), "TokensTable".to_owned());
    for (role, calls) in calls_by_role {
        // New ones, whose use is noted.
        let token = direct.create_token(role).await;
        let id = decode(&token).1["jti"].as_str().unwrap().parse().unwrap();
        let account = direct.add_api_account(demo::STORE, Scope::Modify).await;
        proxy.take_requests();
        // Again when the window has ended in which logins failed.
        for _ in 0..2 {
            for call in &calls {
                for call in [call.clone().token(&token), call.clone().account(&account)] {
                    assert_ne!(call.send().await.status, 500);
                }
            }
            stack.clock.advance(WINDOW);
        }
        if role == "CreateBackendTokenRole" {
            // Only where a store looks full are its tokens looked at.
            let live = direct.total_count().await;
            direct.set_live_count(1_000_000).await;
            assert_eq!(stack.post("/auth/backend", &admin_login("n")).send().await.status, 507);
            direct.set_live_count(live).await;
        } else {
            eventually(async || direct.token_last_used_at(id).await.is_some()).await;
            eventually(async || direct.account_last_used_at(&account).await.is_some()).await;
        }
        let requests = proxy.take_requests();
        let parts: Vec<_> = requests.iter().flat_map(|(operation, body)| parts(operation, body)).collect();
        // Every start reads the keyring, and the counter for a connection.
        let warm_up = [("secretsmanager:GetSecretValue", "KeyringSecret"), ("dynamodb:GetItem", "TokensTable")];
        let mut done: BTreeSet<_> = warm_up.map(|(action, on)| (action.to_owned(), on.to_owned())).into();
        done.extend(parts.iter().map(|part| part.grant.clone()));
        let grants = grants(&template, role);
        assert_eq!(grants.keys().cloned().collect::<BTreeSet<_>>(), done, "{role}");

        // What the keys of a condition are filled with in a transaction is not documented.
        let transacts = parts.iter().any(|part| part.is_of_transaction);
        assert_eq!(grants[&update_tokens].is_badvalue(), transacts, "{role}");
        for (grant, condition) in grants.iter().filter(|(_, condition)| !condition.is_badvalue()) {
            let updates: Vec<_> = parts.iter().filter(|part| part.grant == *grant).collect();
            check_condition(condition, &updates, role);
        }
    }
}
