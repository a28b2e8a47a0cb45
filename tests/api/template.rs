//! `template.yaml` agrees with `openapi.yaml`, with the local stack, with the envelope and with what the functions do.

use aws_sdk_dynamodb::{Client, types::KeySchemaElement};
use expire_tokens::ExpireTokens;
use local::{
    aws, demo,
    gateway::{PREFIXES, ROUTES},
};
use regex_lite::Regex;
use serde_json::{Value, json};
use shared::{
    bigcommerce::Addresses,
    http::{cors::AllowedOrigins, envelope::error_response, error::Error},
    lambda::STRICT_TRANSPORT,
    scopes::Scopes,
    tables::{
        directory::CustomerDirectory,
        login_attempts::WINDOW,
        tokens::{ENDS_AT, EXPIRING_TOKENS, EXPIRY_MARGIN, EXPIRY_SHARD, TokenTable},
    },
};
use std::collections::{BTreeMap, BTreeSet};
use tests::{
    Call, NOW, Proxy, Setup, TestStack, admin_login, buyer_login, current_customer, decode, eventually, operations,
    platform_jwt, with,
};
use yaml_rust2::{Yaml, YamlLoader, yaml::Hash};

/// The template's short forms, such as `!Ref A` and `!GetAtt A.B`, are read as their text alone.
pub fn template() -> Yaml {
    merged(YamlLoader::load_from_str(include_str!("../../template.yaml")).unwrap().remove(0))
}

/// With what `<<: *name` takes over in its place, as the SAM CLI reads it.
fn merged(yaml: Yaml) -> Yaml {
    match yaml {
        Yaml::Array(items) => Yaml::Array(items.into_iter().map(merged).collect()),
        Yaml::Hash(hash) => {
            let mut hash: Hash = hash.into_iter().map(|(key, value)| (key, merged(value))).collect();
            let taken_over = hash.remove(&Yaml::String("<<".into())).and_then(Yaml::into_hash);
            for (key, value) in taken_over.into_iter().flatten() {
                hash.entry(key).or_insert(value);
            }
            Yaml::Hash(hash)
        }
        other => other,
    }
}

pub fn text(yaml: &Yaml) -> &str {
    yaml.as_str().unwrap()
}

pub fn entries(yaml: &Yaml) -> impl Iterator<Item = (&str, &Yaml)> {
    yaml.as_hash().unwrap().iter().map(|(key, value)| (text(key), value))
}

/// What a value is where the condition holds; without it the value is not there.
fn only_if<'a>(condition: &str, value: &'a Yaml) -> &'a Yaml {
    assert_eq!((text(&value[0]), text(&value[2])), (condition, "AWS::NoValue"));
    &value[1]
}

/// The method by which a browser asks whether a page may call.
const PREFLIGHT: &str = "OPTIONS";

/// The resources of a kind, by name.
pub fn resources<'a>(template: &'a Yaml, kind: &str) -> BTreeMap<&'a str, &'a Yaml> {
    entries(&template["Resources"]).filter(|(_, resource)| text(&resource["Type"]) == kind).collect()
}

/// Name of each function in the template, and its own name.
pub fn function_names(template: &Yaml) -> BTreeMap<&str, &str> {
    resources(template, "AWS::Serverless::Function")
        .into_iter()
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
    let described: BTreeSet<_> = operations()
        .filter(|(method, ..)| !PREFLIGHT.eq_ignore_ascii_case(method))
        .map(|(method, path, operation)| (method.to_uppercase(), path, operation["operationId"].as_str().unwrap()))
        .collect();
    let local: BTreeSet<_> =
        ROUTES.iter().map(|route| (route.method.to_string(), route.path, route.function)).collect();
    assert_eq!(described, local);

    let preflights = ROUTES.iter().filter(|route| route.is_for_browsers);
    let preflights = preflights.map(|route| (PREFLIGHT.to_owned(), route.path, route.function));
    let expected: BTreeSet<_> = local
        .into_iter()
        .chain(preflights)
        .flat_map(|(method, path, function)| {
            PREFIXES.map(|prefix| (method.clone(), format!("{prefix}{path}"), function))
        })
        .collect();
    let template = template();
    let names = function_names(&template);
    let deployed: BTreeSet<_> = names
        .iter()
        .flat_map(|(resource, name)| {
            let events = &template["Resources"][*resource]["Properties"]["Events"];
            events.as_hash().into_iter().flatten().map(move |(_, event)| (&event["Properties"], *name))
        })
        .map(|(event, name)| (text(&event["Method"]).to_owned(), text(&event["Path"]).to_owned(), name))
        .collect();
    assert_eq!(deployed, expected);
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
        // They hash nothing.
        .filter(|(method, _)| method != PREFLIGHT)
        .collect();
    assert_eq!(throttled, hashing);
    assert_eq!(throttled.len(), 4);
}

/// What API Gateway may answer by itself, with the status that it gives if nothing else is said.
///
/// Source: API Gateway developer guide, "Gateway response types".
const GATEWAY_RESPONSES: [(&str, Option<u16>); 21] = [
    ("ACCESS_DENIED", Some(403)),
    ("API_CONFIGURATION_ERROR", Some(500)),
    ("AUTHORIZER_CONFIGURATION_ERROR", Some(500)),
    ("AUTHORIZER_FAILURE", Some(500)),
    ("BAD_REQUEST_BODY", Some(400)),
    ("BAD_REQUEST_PARAMETERS", Some(400)),
    ("DEFAULT_4XX", None),
    ("DEFAULT_5XX", None),
    ("EXPIRED_TOKEN", Some(403)),
    ("INTEGRATION_FAILURE", Some(504)),
    ("INTEGRATION_TIMEOUT", Some(504)),
    ("INVALID_API_KEY", Some(403)),
    ("INVALID_SIGNATURE", Some(403)),
    ("MISSING_AUTHENTICATION_TOKEN", Some(403)),
    ("QUOTA_EXCEEDED", Some(429)),
    ("REQUEST_TOO_LARGE", Some(413)),
    ("RESOURCE_NOT_FOUND", Some(404)),
    ("THROTTLED", Some(429)),
    ("UNAUTHORIZED", Some(401)),
    ("UNSUPPORTED_MEDIA_TYPE", Some(415)),
    ("WAF_FILTERED", Some(403)),
];

/// An error of the functions that is told as the gateway's answer must be, but for its text.
fn error_like(kind: &str, usual_status: Option<u16>) -> Error {
    match (kind, usual_status) {
        // Our routes read no signature of AWS, so it is that there is no such route.
        ("MISSING_AUTHENTICATION_TOKEN" | "INVALID_SIGNATURE" | "EXPIRED_TOKEN", _) => Error::NoSuchRoute,
        ("DEFAULT_4XX", _) => error_of_status(400),
        ("DEFAULT_5XX", _) => error_of_status(500),
        (_, Some(504)) => Error::Unavailable(String::new()),
        (_, status) => error_of_status(status.unwrap()),
    }
}

fn error_of_status(status: u16) -> Error {
    let errors = [
        Error::BadRequest(""),
        Error::InvalidToken(""),
        Error::OtherStore,
        Error::NoSuchRoute,
        Error::TooLarge(""),
        Error::UnsupportedMediaType("application/json"),
        Error::TooManyFailedLogins { retry_after: 0 },
        Error::Internal(String::new()),
    ];
    errors.into_iter().find(|error| error.status().0 == status).unwrap()
}

#[test]
fn what_the_gateway_answers_by_itself_is_what_the_functions_would_answer() {
    let template = template();
    let responses = &template["Resources"]["Api"]["Properties"]["GatewayResponses"];
    let kinds: BTreeSet<_> = entries(responses).map(|(kind, _)| kind).collect();
    assert_eq!(kinds, GATEWAY_RESPONSES.map(|(kind, _)| kind).into());
    for (kind, usual_status) in GATEWAY_RESPONSES {
        let response = &responses[kind];
        let headers = entries(&response["ResponseParameters"]["Headers"]);
        let headers = headers.map(|(name, value)| match name {
            "Access-Control-Allow-Origin" | "Vary" => (name, only_if("AllowsOneOrigin", value)),
            _ => (name, value),
        });
        let headers = headers.map(|(name, value)| (name, quoted(text(value)))).collect();
        let body = text(&response["ResponseTemplates"]["application/json"]);
        let error = error_like(kind, usual_status);
        check_answer(kind, &error, response["StatusCode"].as_i64().unwrap(), body, &headers);
    }

    let web_acl = &template["Resources"]["WebAcl"]["Properties"];
    for rule in web_acl["Rules"].as_vec().unwrap() {
        let response = &rule["Action"]["Block"]["CustomResponse"];
        let headers = response["ResponseHeaders"].as_vec().unwrap().iter();
        let headers = headers.map(|header| if header.is_array() { only_if("AllowsOneOrigin", header) } else { header });
        let headers = headers.map(|header| (text(&header["Name"]), text(&header["Value"]))).collect();
        let body = text(&web_acl["CustomResponseBodies"][text(&response["CustomResponseBodyKey"])]["Content"]);
        let status = response["ResponseCode"].as_i64().unwrap();
        let error = error_of_status(status.try_into().unwrap());
        check_answer(text(&rule["Name"]), &error, status, body, &headers);
    }
}

/// API Gateway's spelling of a text that is meant as it stands.
fn quoted(value: &str) -> &str {
    value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')).unwrap()
}

fn check_answer(kind: &str, error: &Error, status: i64, body: &str, headers: &BTreeMap<&str, &str>) {
    let answer: Value = serde_json::from_str(body).unwrap();
    let err_msg = answer["data"]["errMsg"].as_str().unwrap();
    let (right_status, message) = error.status();
    let envelope = json!({
        "code": right_status, "data": {"errMsg": err_msg}, "meta": {"message": message}, "detail": err_msg,
    });
    assert_eq!((status, &answer), (right_status.into(), &envelope), "{kind}");

    let of_function = error_response(error);
    // Where there is but one thing to say, both say the same.
    if matches!(right_status, 401 | 404 | 415 | 500 | 503) {
        assert_eq!(of_function.body().as_ref(), body.as_bytes(), "{kind}");
    }
    let mut right_headers: BTreeMap<_, _> =
        of_function.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    // Both gateways take it from the kind of the body.
    right_headers.remove("content-type");
    right_headers.insert("strict-transport-security", STRICT_TRANSPORT);
    let origin = headers["Access-Control-Allow-Origin"];
    assert!(["${AllowedOrigins}", "AllowedOrigins"].contains(&origin), "{kind}: {origin}");
    right_headers.insert("access-control-allow-origin", origin);
    right_headers.insert("vary", "Origin");
    if right_status == 429 {
        let seconds = headers["Retry-After"];
        assert!(err_msg.contains(&format!(" {seconds} second")), "{kind}: {err_msg}");
        right_headers.insert("retry-after", seconds);
    }
    let headers: BTreeMap<_, _> = headers.iter().map(|(name, value)| (name.to_lowercase(), *value)).collect();
    let headers: BTreeMap<_, _> = headers.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(headers, right_headers, "{kind}");
}

#[test]
fn the_template_takes_just_the_origins_that_the_functions_take() {
    let template = template();
    let pattern = text(&template["Parameters"]["AllowedOrigins"]["AllowedPattern"]);
    // CloudFormation compares the whole value.
    let pattern = Regex::new(&format!("^(?:{pattern})$")).unwrap();
    for (origins, taken) in [
        ("", true),
        ("https://shop.example", true),
        ("http://localhost:3000", true),
        ("http://127.0.0.1:8080", true),
        ("http://[::1]:8080", true),
        ("https://xn--bcher-kva.example:8443,https://my_shop.example,http://a", true),
        ("https://shop.example:4430", true),
        ("https://shop.example:44", true),
        ("*", false),
        ("https://*.shop.example", false),
        ("shop.example", false),
        ("https://shop.example/", false),
        ("https://shop.example/path", false),
        ("https://shop.example?query", false),
        ("https://Shop.example", false),
        ("HTTPS://shop.example", false),
        ("https://shop.example:443", false),
        ("http://shop.example:80", false),
        ("https://shop.example:0443", false),
        ("https://user@shop.example", false),
        ("https://b\u{fc}cher.example", false),
        ("ftp://shop.example", false),
        ("null", false),
        ("https://", false),
        (" https://shop.example", false),
        ("https://shop.example ", false),
        ("https://a.example, https://b.example", false),
        ("https://a.example https://b.example", false),
        ("https://a.example;https://b.example", false),
        ("https://a.example,", false),
        (",https://a.example", false),
        ("https://a.example,,https://b.example", false),
        (",", false),
        ("https://a.example\nhttps://b.example", false),
    ] {
        assert_eq!(pattern.is_match(origins), taken, "{origins:?}");
        assert_eq!(origins.parse::<AllowedOrigins>().is_ok(), taken, "{origins:?}");
    }
}

#[test]
fn with_a_domain_the_address_of_awss_is_closed() {
    let api = &template()["Resources"]["Api"]["Properties"]["DisableExecuteApiEndpoint"];
    assert_eq!((text(&api[0]), api[1].as_bool(), api[2].as_bool()), ("ClosesAwsAddress", Some(true), Some(false)));
}

#[test]
fn what_a_mistake_could_destroy_is_kept() {
    let template = template();
    let mut kept = 0;
    for (name, resource) in entries(&template["Resources"]) {
        let kind = text(&resource["Type"]);
        if ["AWS::DynamoDB::Table", "AWS::SecretsManager::ResourcePolicy", "AWS::SecretsManager::Secret"]
            .contains(&kind)
        {
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
    assert_eq!(kept, 6);
}

/// Names of parameters where a value is nothing else.
fn parameters_in<'a>(template: &'a Yaml, value: &'a Yaml) -> BTreeSet<&'a str> {
    match value {
        Yaml::Hash(hash) => hash.values().flat_map(|value| parameters_in(template, value)).collect(),
        Yaml::String(name) if !template["Parameters"][name.as_str()].is_badvalue() => [name.as_str()].into(),
        _ => BTreeSet::new(),
    }
}

#[test]
fn a_version_is_made_anew_for_a_parameter_if_and_only_if_it_changes_the_functions_settings() {
    let template = template();
    let globals = &template["Globals"]["Function"];
    for function in function_names(&template).into_keys() {
        let properties = &template["Resources"][function]["Properties"];
        assert_eq!(properties["AutoPublishAliasAllProperties"].as_bool(), Some(true), "{function}");
        // What a version of a function consists of. Another architecture is another program.
        let settings: BTreeSet<_> = ["Environment", "LoggingConfig", "MemorySize", "Timeout", "Tracing"]
            .into_iter()
            .map(|name| if properties[name].is_badvalue() { &globals[name] } else { &properties[name] })
            .flat_map(|setting| parameters_in(&template, setting))
            .collect();
        let description = text(&properties["VersionDescription"]).split(' ');
        let named: BTreeSet<_> = description.map(|name| &name[2..name.len() - 1]).collect();
        assert_eq!(named, settings, "{function}");
    }
}

#[test]
fn a_versions_description_has_no_more_than_256_characters() {
    let template = template();
    let parameters = &template["Parameters"];
    let most = |name: &str| {
        let parameter = &parameters[name];
        let allowed = parameter["AllowedValues"].as_vec().into_iter().flatten().map(|value| text(value).len()).max();
        let largest = parameter["MaxValue"].as_i64().map(|value| value.to_string().len());
        let longest = parameter["MaxLength"].as_i64().map(|length| usize::try_from(length).unwrap());
        // What has no bound of its own may have ten digits.
        allowed.or(largest).or(longest).unwrap_or("1000000000".len())
    };
    for function in function_names(&template).into_keys() {
        let description = text(&template["Resources"][function]["Properties"]["VersionDescription"]);
        let lengths = description.split(' ').map(|name| most(&name[2..name.len() - 1]) + " ".len());
        assert!(lengths.sum::<usize>() <= 256 + " ".len(), "{function}");
    }
}

#[test]
fn every_role_takes_the_permissions_boundary() {
    let template = template();
    let roles = resources(&template, "AWS::IAM::Role");
    for (name, role) in &roles {
        let boundary = only_if("HasPermissionsBoundary", &role["Properties"]["PermissionsBoundary"]);
        assert_eq!(text(boundary), "PermissionsBoundaryArn", "{name}");
    }
    assert_eq!(roles.len(), function_names(&template).len() + 3);
}

#[test]
fn what_is_at_rest_takes_the_operators_own_key() {
    let template = template();
    let mut encrypted = 0;
    for (name, resource) in entries(&template["Resources"]) {
        let properties = &resource["Properties"];
        let key = match text(&resource["Type"]) {
            "AWS::DynamoDB::Table" => &properties["SSESpecification"][1]["KMSMasterKeyId"],
            "AWS::SecretsManager::Secret" | "AWS::Logs::LogGroup" => only_if("HasKmsKey", &properties["KmsKeyId"]),
            "AWS::SNS::Topic" => only_if("HasKmsKey", &properties["KmsMasterKeyId"]),
            _ => continue,
        };
        assert_eq!(text(key), "KmsKeyArn", "{name}");
        encrypted += 1;
    }
    assert_eq!(encrypted, 8);
}

#[test]
fn nobody_deletes_the_keyring_and_only_those_named_change_it() {
    let template = template();
    let guard = &template["Resources"]["KeyringGuard"]["Properties"]["ResourcePolicy"]["Statement"];
    let [deletes, changes] = [&guard[0], only_if("HasKeyringOperators", &guard[1])];
    assert_eq!(guard.as_vec().unwrap().len(), 2);
    for statement in [deletes, changes] {
        assert_eq!((text(&statement["Effect"]), text(&statement["Principal"])), ("Deny", "*"));
        assert_eq!(text(&statement["Resource"]), "*");
    }
    assert_eq!(text(&deletes["Action"]), "secretsmanager:DeleteSecret");
    let break_glass = only_if("HasBreakGlassRole", &deletes["Condition"]);
    assert_eq!(text(&break_glass["ArnNotEquals"]["aws:PrincipalArn"]), "BreakGlassRoleArn");
    // All by which the rotation changes it, too.
    let denied: BTreeSet<_> = changes["Action"].as_vec().unwrap().iter().map(text).collect();
    let rotation = &template["Resources"]["RotateSigningKeyRole"]["Properties"]["Policies"][0]["PolicyDocument"];
    let rotation = rotation["Statement"][0]["Action"].as_vec().unwrap().iter().map(text);
    let writes = rotation.filter(|action| !action.ends_with("DescribeSecret") && !action.ends_with("GetSecretValue"));
    let others = ["secretsmanager:UpdateSecret", "secretsmanager:RemoveRegionsFromReplication"];
    assert_eq!(denied, writes.chain(others).collect());
    let principals = &changes["Condition"]["ArnNotEquals"]["aws:PrincipalArn"];
    assert_eq!(text(&principals[0]), "HasBreakGlassRole");
    let rotation_and_operators = "${RotateSigningKeyRole.Arn},${KeyringOperatorArns}";
    assert_eq!(text(&principals[1][1]), format!("{rotation_and_operators},${{BreakGlassRoleArn}}"));
    assert_eq!(text(&principals[2][1]), rotation_and_operators);
}

#[test]
fn sam_local_sets_all_variables_of_the_functions() {
    let template = template();
    let variables: BTreeSet<_> =
        entries(&template["Globals"]["Function"]["Environment"]["Variables"]).map(|(name, _)| name).collect();
    let set: Value = serde_json::from_str(include_str!("../../events/env.json")).unwrap();
    assert_eq!(variables, set["Parameters"].as_object().unwrap().keys().map(String::as_str).collect());
}

/// Where there is no BigCommerce: nobody listens there.
pub const NOBODY: &str = "http://127.0.0.1:1";

/// Calls by which a function does all that it ever does while a store is not full, by the name of its role.
fn calls_by_role(stack: &TestStack) -> [(&'static str, Vec<Call>); 9] {
    let create = |body: &Value| stack.post("/auth/backend", body);
    let login = |body: &Value| stack.post("/auth/customers", body);
    let issue = |body: &Value| stack.post("/auth/customers/storefront", body);
    [
        (
            "CreateBackendTokenRole",
            vec![create(&admin_login("n")), create(&with(admin_login("n"), "password", "wrong"))],
        ),
        ("RotateBackendTokenRole", vec![rotate(stack, 1), rotate(stack, 0)]),
        ("DeleteBackendTokenRole", vec![stack.delete(&json!({"id": 1})), stack.delete(&json!({}))]),
        ("ListBackendTokensRole", vec![stack.get("/backend/tokens"), stack.get("/backend/tokens?limit=x")]),
        (
            "ExchangeCustomerJwtRole",
            vec![
                // Good for as long as the clock is moved.
                stack.exchange(&platform_jwt(&with(current_customer(NOW), "exp", NOW + 1_000_000))),
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
        ("IntrospectTokenRole", vec![stack.introspect(&stack.demo_token), stack.introspect("x")]),
        ("AuthorizeRequestRole", vec![stack.protected("/stock"), stack.protected("/orders")]),
    ]
}

fn rotate(stack: &TestStack, id: u64) -> Call {
    stack.post("/auth/backend/rotate", &json!({"id": id}))
}

/// An action, and the resource of the template that it is on.
type Grant = (String, String);

/// The secrets of stores whose customers are at BigCommerce. The operator's tool makes them, so the template names them so.
const BIGCOMMERCE_SECRETS: &str =
    "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${AWS::StackName}/bigcommerce/*";

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
        name if name.starts_with("bigcommerce/") => BIGCOMMERCE_SECRETS.to_owned(),
        other => panic!("{other}"),
    };
    let alone = |grant| vec![Part { grant, is_of_transaction: false, body: body.clone() }];
    match operation {
        "Query" if body["IndexName"].is_string() => {
            let (table, index) = (resource(&body["TableName"]), body["IndexName"].as_str().unwrap());
            alone((format!("dynamodb:{operation}"), format!("${{{table}.Arn}}/index/{index}")))
        }
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
        "BatchGetItem" => {
            let tables = body["RequestItems"].as_object().unwrap().iter();
            let part = |(table, body): (&String, &Value)| Part {
                grant: (format!("dynamodb:{operation}"), resource(&json!(table))),
                is_of_transaction: false,
                body: body.clone(),
            };
            tables.map(part).collect()
        }
        _ => alone((format!("dynamodb:{operation}"), resource(&body["TableName"]))),
    }
}

/// What the role allows, but for logs, traces and the operator's own key, and on which condition.
fn grants<'a>(template: &'a Yaml, role: &str) -> BTreeMap<Grant, &'a Yaml> {
    let role_properties = &template["Resources"][role]["Properties"];
    let managed: Vec<_> = role_properties["ManagedPolicyArns"].as_vec().unwrap().iter().map(text).collect();
    assert_eq!(managed[0], "LogPolicy", "{role}");
    let own = role_properties["Policies"].as_vec().unwrap().iter().map(|policy| &policy["PolicyDocument"]);
    let shared = managed[1..].iter().map(|name| &template["Resources"][*name]["Properties"]["PolicyDocument"]);
    let mut grants = BTreeMap::new();
    for statement in own.chain(shared).flat_map(|policy| policy["Statement"].as_vec().unwrap()) {
        assert_eq!(text(&statement["Effect"]), "Allow", "{role}");
        let on = text(&statement["Resource"]).trim_end_matches(".Arn");
        for action in statement["Action"].as_vec().unwrap().iter().map(text) {
            let earlier = grants.insert((action.to_owned(), on.to_owned()), &statement["Condition"]);
            assert!(earlier.is_none(), "{role} allows {action} twice");
        }
    }
    grants
}

#[test]
fn logs_traces_and_the_operators_own_key_are_all_else_that_a_role_may_use() {
    let template = template();
    let policy = &template["Resources"]["LogPolicy"]["Properties"]["PolicyDocument"];
    let statements = policy["Statement"].as_vec().unwrap();
    let [logs, traces, key] = [&statements[0], only_if("Traces", &statements[1]), only_if("HasKmsKey", &statements[2])];
    assert_eq!(statements.len(), 3);
    for (statement, actions, on) in [
        (logs, ["logs:CreateLogStream", "logs:PutLogEvents"], "FunctionLogGroup.Arn"),
        (traces, ["xray:PutTraceSegments", "xray:PutTelemetryRecords"], "*"),
        (key, ["kms:Decrypt", "kms:GenerateDataKey"], "KmsKeyArn"),
    ] {
        assert_eq!(statement["Action"].as_vec().unwrap().iter().map(text).collect::<Vec<_>>(), actions);
        assert_eq!(text(&statement["Resource"]), on);
    }
    let services = key["Condition"]["StringEquals"]["kms:ViaService"].as_vec().unwrap();
    let services: Vec<_> = services.iter().map(|service| text(service).split('.').next().unwrap()).collect();
    assert_eq!(services, ["dynamodb", "secretsmanager"]);
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
    let keys = &condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
    if keys.is_badvalue() {
        check_last_use_condition(condition, updates, role);
    } else {
        check_keys(keys, updates, role);
    }
}

/// That these are the keys of the items that are updated, and none of an account's failed logins.
fn check_keys(keys: &Yaml, updates: &[&Part], role: &str) {
    let keys: Vec<_> = keys.as_vec().unwrap().iter().map(|key| text(key).strip_suffix('*').unwrap()).collect();
    assert_eq!(keys, ["BIGCOMMERCE_CALLS#"], "{role}");
    for update in updates {
        let key = update.body["Key"]["pk"]["S"].as_str().unwrap();
        assert!(key.starts_with(keys[0]), "{role}: {key}");
    }
}

fn check_last_use_condition(condition: &Yaml, updates: &[&Part], role: &str) {
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

/// A new token that has ended, for as long as one stays.
pub async fn let_a_token_end(stack: &TestStack) {
    let login = with(admin_login("n"), "endAt", stack.clock.now() + 1);
    assert_eq!(stack.post("/auth/backend", &login).send().await.status, 200);
    stack.clock.advance(EXPIRY_MARGIN + 1);
}

/// Functions for which the demo store is full; one of its tokens has ended.
async fn with_full_store(direct: &mut TestStack, proxy: &Proxy) -> TestStack {
    let_a_token_end(direct).await;
    direct.configuration.max_tokens_per_store = direct.total_count().await;
    direct.fresh_functions(&proxy.url).await
}

#[tokio::test]
async fn each_role_allows_just_what_its_function_does() {
    let mut setup = Setup::default();
    setup.configuration.bigcommerce.addresses = Addresses::of_stand_in(NOBODY);
    let mut direct = TestStack::start_with(setup).await;
    let proxy = Proxy::start(direct.aws_url()).await;
    let stack = direct.fresh_functions(&proxy.url).await;
    direct.put_bigcommerce_secret(demo::STORE, &demo::bigcommerce_secret(&direct.configuration).1).await;
    let template = template();
    let calls_by_role = calls_by_role(&stack);
    let roles =
        endpoints(&template).into_iter().chain(["AuthorizeRequest"]).map(|name| format!("{name}Role")).collect();
    assert_eq!(calls_by_role.iter().map(|(role, _)| (*role).to_owned()).collect::<BTreeSet<_>>(), roles);
    let update_tokens = ("dynamodb:UpdateItem".to_owned(), "TokensTable".to_owned());
    for (role, calls) in calls_by_role {
        // New ones, whose use is noted.
        let token = direct.create_token(role).await;
        let id = decode(&token).1["jti"].as_str().unwrap().parse().unwrap();
        let account = direct.add_api_account(demo::STORE, &Scopes::ALL).await;
        proxy.take_requests();
        // Again when the window has ended in which logins failed, and with the customers at BigCommerce.
        for customer_directory in [CustomerDirectory::Table, CustomerDirectory::Table, CustomerDirectory::BigCommerce] {
            direct.set_customer_directory(demo::STORE, customer_directory).await;
            for call in &calls {
                for call in [call.clone().token(&token), call.clone().account(&account)] {
                    assert_ne!(call.send().await.status, 500);
                }
            }
            stack.clock.advance(WINDOW);
        }
        if role != "CreateBackendTokenRole" {
            eventually(async || direct.token_last_used_at(id).await.is_some()).await;
            eventually(async || direct.account_last_used_at(&account).await.is_some()).await;
        }
        if ["CreateBackendTokenRole", "RotateBackendTokenRole"].contains(&role) {
            let full = with_full_store(&mut direct, &proxy).await;
            let make = if role == "CreateBackendTokenRole" {
                full.post("/auth/backend", &admin_login("n"))
            } else {
                rotate(&full, id).token(&token)
            };
            assert_eq!(make.send().await.status, 200);
        }
        let requests = proxy.take_requests();
        let parts: Vec<_> = requests.iter().flat_map(|(operation, body)| parts(operation, body)).collect();
        // Every start reads the keyring, and the counter for a connection.
        let warm_up = [("secretsmanager:GetSecretValue", "KeyringSecret"), ("dynamodb:BatchGetItem", "TokensTable")];
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

#[tokio::test]
async fn the_role_of_expire_tokens_allows_just_what_the_function_does() {
    let stack = TestStack::start().await;
    let proxy = Proxy::start(stack.aws_url()).await;
    let_a_token_end(&stack).await;
    let dynamodb = Client::new(&aws::sdk_config(&proxy.url).await);
    let tokens = TokenTable::new(dynamodb, stack.configuration.tokens_table.clone());
    assert_eq!(ExpireTokens::new(tokens, stack.clock.clock()).run(u64::MAX).await.unwrap(), 1);
    let requests = proxy.take_requests();
    let parts = requests.iter().flat_map(|(operation, body)| parts(operation, body));
    let template = template();
    let grants = grants(&template, "ExpireTokensRole");
    assert_eq!(grants.keys().cloned().collect::<BTreeSet<_>>(), parts.map(|part| part.grant).collect());
    assert!(grants.values().all(|condition| condition.is_badvalue()));
}

#[test]
fn the_schedule_calls_expire_tokens_as_often_as_the_parameter_says() {
    let template = template();
    let schedules = resources(&template, "AWS::Scheduler::Schedule");
    let [schedule] = schedules.values().collect::<Vec<_>>()[..] else { panic!() };
    let schedule = &schedule["Properties"];
    assert_eq!(text(&schedule["ScheduleExpression"]), "rate(${ExpireTokensMinutes} minutes)");
    // Of one minute it would have to be `rate(1 minute)`.
    assert!(template["Parameters"]["ExpireTokensMinutes"]["MinValue"].as_i64() > Some(1));
    assert_eq!(text(&schedule["FlexibleTimeWindow"]["Mode"]), "OFF");
    let target = &schedule["Target"];
    assert_eq!((text(&target["Arn"]), text(&target["RoleArn"])), ("ExpireTokens.Alias", "TokenExpiryRole.Arn"));

    let role = &template["Resources"]["TokenExpiryRole"]["Properties"];
    let [trust] = &role["AssumeRolePolicyDocument"]["Statement"].as_vec().unwrap()[..] else { panic!() };
    assert_eq!(text(&trust["Principal"]["Service"]), "scheduler.amazonaws.com");
    let group = "arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule-group/default";
    let source: Vec<_> = entries(&trust["Condition"]["StringEquals"]).map(|(key, value)| (key, text(value))).collect();
    assert_eq!(source, [("aws:SourceAccount", "AWS::AccountId"), ("aws:SourceArn", group)]);
    assert!(role["ManagedPolicyArns"].is_badvalue());
    let [policy] = &role["Policies"].as_vec().unwrap()[..] else { panic!() };
    let [statement] = &policy["PolicyDocument"]["Statement"].as_vec().unwrap()[..] else { panic!() };
    let actions: Vec<_> = statement["Action"].as_vec().unwrap().iter().map(text).collect();
    assert_eq!((&actions[..], text(&statement["Resource"])), (&["lambda:InvokeFunction"][..], "ExpireTokens.Alias"));
}

/// Name and kind of each key of a table or an index.
fn keys(schema: &Yaml) -> Vec<(&str, &str)> {
    let keys = schema.as_vec().unwrap().iter();
    keys.map(|key| (text(&key["AttributeName"]), text(&key["KeyType"]))).collect()
}

fn local_keys(schema: &[KeySchemaElement]) -> Vec<(&str, &str)> {
    schema.iter().map(|key| (key.attribute_name(), key.key_type().as_str())).collect()
}

#[tokio::test]
async fn tables_are_those_of_the_local_stack() {
    let stack = TestStack::start().await;
    let template = template();
    let tables = resources(&template, "AWS::DynamoDB::Table");
    let names = [
        ("DirectoryTable", &stack.configuration.directory_table),
        ("LoginAttemptsTable", &stack.configuration.login_attempts_table),
        ("TokensTable", &stack.configuration.tokens_table),
    ];
    assert_eq!(tables.keys().copied().collect::<Vec<_>>(), names.map(|(resource, _)| resource));
    for (resource, name) in names {
        let table = &tables[resource]["Properties"];
        let local = stack.dynamodb.describe_table().table_name(name).send().await.unwrap().table.unwrap();
        assert_eq!(keys(&table["KeySchema"]), local_keys(local.key_schema()), "{resource}");

        let attributes = table["AttributeDefinitions"].as_vec().unwrap().iter();
        let attributes = attributes.map(|it| (text(&it["AttributeName"]), text(&it["AttributeType"])));
        let local_attributes = local.attribute_definitions().iter();
        let local_attributes = local_attributes.map(|it| (it.attribute_name(), it.attribute_type().as_str()));
        assert_eq!(attributes.collect::<BTreeSet<_>>(), local_attributes.collect(), "{resource}");

        let indexes = table["GlobalSecondaryIndexes"].as_vec().into_iter().flatten();
        let indexes = indexes.map(|index| {
            let projection = text(&index["Projection"]["ProjectionType"]);
            (text(&index["IndexName"]), keys(&index["KeySchema"]), projection)
        });
        let local_indexes = local.global_secondary_indexes().iter().map(|index| {
            let projection = index.projection().unwrap().projection_type().unwrap().as_str();
            (index.index_name().unwrap(), local_keys(index.key_schema()), projection)
        });
        assert_eq!(indexes.collect::<Vec<_>>(), local_indexes.collect::<Vec<_>>(), "{resource}");

        let ttl = stack.dynamodb.describe_time_to_live().table_name(name).send().await.unwrap();
        let ttl = ttl.time_to_live_description.and_then(|ttl| ttl.attribute_name);
        assert_eq!(table["TimeToLiveSpecification"]["AttributeName"].as_str(), ttl.as_deref(), "{resource}");
    }
    let index = &tables["TokensTable"]["Properties"]["GlobalSecondaryIndexes"][0];
    assert_eq!(text(&index["IndexName"]), EXPIRING_TOKENS);
    assert_eq!(keys(&index["KeySchema"]), [(EXPIRY_SHARD, "HASH"), (ENDS_AT, "RANGE")]);
}

#[test]
fn api_gateway_may_ask_the_authorizer_by_each_alias_that_is_given_out_and_by_no_other() {
    let template = template();
    let given_out = ["AuthorizerArn", "StorefrontAuthorizerArn", "ServerAuthorizerArn"].map(|name| {
        let output = &template["Outputs"][name];
        assert_eq!(text(&output["Export"]["Name"]), format!("${{AWS::StackName}}-{name}"));
        text(&output["Value"])
    });
    assert_eq!(given_out, ["AuthorizeRequest.Alias", "StorefrontAuthorizer", "ServerAuthorizer"]);
    let permissions = resources(&template, "AWS::Lambda::Permission").into_values().map(|it| &it["Properties"]);
    let gateways: Vec<_> =
        permissions.filter(|permission| text(&permission["Principal"]) == "apigateway.amazonaws.com").collect();
    let asked: BTreeSet<_> = gateways.iter().map(|permission| text(&permission["FunctionName"])).collect();
    assert_eq!(asked, given_out.into());
    for permission in gateways {
        let of_this_account = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:*/authorizers/*";
        assert_eq!(text(&permission["SourceArn"]), of_this_account);
    }
    assert_eq!(text(&template["Globals"]["Function"]["AutoPublishAlias"]), "live");
    let aliases = resources(&template, "AWS::Lambda::Alias");
    let names: Vec<_> = aliases.values().map(|alias| text(&alias["Properties"]["Name"])).collect();
    assert_eq!(names, ["server", "storefront"]);
    for alias in aliases.values() {
        assert_eq!(text(&alias["Properties"]["FunctionName"]), "AuthorizeRequest");
        assert_eq!(text(&alias["Properties"]["FunctionVersion"]), "AuthorizeRequest.Version.Version");
    }
}

#[test]
fn the_template_names_the_version_of_the_workspace() {
    assert_eq!(text(&template()["Outputs"]["Version"]["Value"]), env!("CARGO_PKG_VERSION"));
}
