//! Secrets Manager, as far as functions and the operator's tool need it: secrets with versions and staging labels.
//!
//! Rules and errors: Secrets Manager API reference.

use crate::server::StartError;
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use shared::clock::Clock;
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};
use tempfile::NamedTempFile;

/// Secrets by name.
pub type Secrets = BTreeMap<String, String>;

/// The region that local clients name; any would do.
pub const REGION: &str = "us-east-1";

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";
/// Name of the file that keeps the secrets.
const FILE: &str = "secrets.json";

/// The secrets, in memory and, where there is a folder, in a file.
pub struct SecretsManager {
    folder: Option<PathBuf>,
    clock: Clock,
    secrets: Mutex<Vec<Secret>>,
}

#[derive(Clone, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Secret {
    name: String,
    created_date: u64,
    last_changed_date: u64,
    /// By id.
    versions: BTreeMap<String, Version>,
    /// Staging label to the id of the version that it is attached to.
    stages: BTreeMap<String, String>,
}

#[derive(Clone, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    secret_string: String,
    created_date: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateSecret {
    name: String,
    client_request_token: String,
    secret_string: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteSecret {
    secret_id: String,
    #[serde(default)]
    force_delete_without_recovery: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeSecret {
    secret_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetSecretValue {
    secret_id: String,
    version_id: Option<String>,
    version_stage: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutSecretValue {
    secret_id: String,
    client_request_token: String,
    secret_string: String,
    version_stages: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateSecretVersionStage {
    secret_id: String,
    version_stage: String,
    remove_from_version_id: Option<String>,
    move_to_version_id: Option<String>,
}

/// Code and message of an error that the caller has made.
struct Refusal(&'static str, String);

impl SecretsManager {
    /// Reads the secrets that the folder keeps, and adds those of the `initial` ones that are not there yet.
    ///
    /// # Errors
    /// If the folder's file cannot be read or written, or is broken.
    pub fn open(folder: Option<&Path>, initial: Secrets, clock: Clock) -> Result<Self, StartError> {
        let mut secrets = folder.map_or_else(|| Ok(Vec::new()), read)?;
        for (name, secret_string) in initial {
            if secrets.iter().all(|secret| secret.name != name) {
                let version_id = format!("{:032x}", fastrand::u128(..));
                secrets.push(Secret::new(name, version_id, secret_string, clock.now()));
            }
        }
        if let Some(folder) = folder {
            write(folder, &secrets).map_err(|error| file_error(folder, &error))?;
        }
        Ok(Self { folder: folder.map(Path::to_path_buf), clock, secrets: Mutex::new(secrets) })
    }

    /// Answers the body of a request for an operation.
    pub fn answer(&self, operation: &str, body: &[u8]) -> Response {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = secrets.clone();
        let answer = match carry_out(&mut changed, operation, body, self.clock.now()) {
            Ok(answer) => answer,
            Err(Refusal(code, message)) => return aws_error(StatusCode::BAD_REQUEST, code, &message),
        };
        if changed != *secrets {
            if let Some(folder) = &self.folder
                && let Err(error) = write(folder, &changed)
            {
                tracing::error!(%error, "secrets cannot be written");
                return aws_error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServiceError", "it cannot be written");
            }
            *secrets = changed;
        }
        json_response(StatusCode::OK, &answer)
    }
}

fn carry_out(secrets: &mut Vec<Secret>, operation: &str, body: &[u8], now: u64) -> Result<Value, Refusal> {
    match operation {
        "CreateSecret" => create_secret(secrets, parse(body)?, now),
        "DeleteSecret" => delete_secret(secrets, &parse(body)?, now),
        "DescribeSecret" => describe_secret(secrets, &parse(body)?),
        "GetSecretValue" => get_secret_value(secrets, &parse(body)?),
        "PutSecretValue" => put_secret_value(secrets, parse(body)?, now),
        "UpdateSecretVersionStage" => update_secret_version_stage(secrets, &parse(body)?, now),
        _ => Err(invalid_request(
            "the local stack answers CreateSecret, DeleteSecret, DescribeSecret, GetSecretValue, PutSecretValue and \
             UpdateSecretVersionStage only",
        )),
    }
}

fn create_secret(secrets: &mut Vec<Secret>, request: CreateSecret, now: u64) -> Result<Value, Refusal> {
    check_token(&request.client_request_token)?;
    if secrets.iter().any(|secret| secret.name == request.name) {
        return Err(exists(format!("The operation failed because the secret {} already exists.", request.name)));
    }
    let secret = Secret::new(request.name, request.client_request_token.clone(), request.secret_string, now);
    let answer = json!({"ARN": secret.arn(), "Name": secret.name, "VersionId": request.client_request_token});
    secrets.push(secret);
    Ok(answer)
}

/// A secret that is not there is deleted as any other: AWS does not say so either.
fn delete_secret(secrets: &mut Vec<Secret>, request: &DeleteSecret, now: u64) -> Result<Value, Refusal> {
    if !request.force_delete_without_recovery {
        return Err(invalid_request("the local stack deletes secrets with ForceDeleteWithoutRecovery only"));
    }
    let id = &request.secret_id;
    let named = match find(secrets, id) {
        Ok(secret) => json!({"ARN": secret.arn(), "Name": secret.name, "DeletionDate": now}),
        Err(_) => json!({"Name": id, "DeletionDate": now}),
    };
    secrets.retain(|secret| !secret.is(id));
    Ok(named)
}

fn describe_secret(secrets: &mut [Secret], request: &DescribeSecret) -> Result<Value, Refusal> {
    let secret = find(secrets, &request.secret_id)?;
    let version_ids_to_stages: BTreeMap<_, _> = secret.versions.keys().map(|id| (id, secret.stages_of(id))).collect();
    Ok(json!({
        "ARN": secret.arn(),
        "Name": secret.name,
        "RotationEnabled": false,
        "CreatedDate": secret.created_date,
        "LastChangedDate": secret.last_changed_date,
        "VersionIdsToStages": version_ids_to_stages,
    }))
}

fn get_secret_value(secrets: &mut [Secret], request: &GetSecretValue) -> Result<Value, Refusal> {
    let secret = find(secrets, &request.secret_id)?;
    let version_id = match (&request.version_id, request.version_stage.as_deref()) {
        (Some(id), Some(stage)) if secret.versions.contains_key(id) && secret.stages.get(stage) != Some(id) => {
            return Err(invalid_request(
                "You provided a VersionStage that is not associated to the provided VersionId.",
            ));
        }
        (Some(id), _) => id,
        (None, stage) => {
            let stage = stage.unwrap_or(CURRENT);
            secret.stages.get(stage).ok_or_else(|| not_found(&format!("secret value for staging label: {stage}")))?
        }
    };
    let version = secret
        .versions
        .get(version_id)
        .ok_or_else(|| not_found(&format!("secret value for VersionId: {version_id}")))?;
    Ok(json!({
        "ARN": secret.arn(),
        "Name": secret.name,
        "VersionId": version_id,
        "SecretString": version.secret_string,
        "VersionStages": secret.stages_of(version_id),
        "CreatedDate": version.created_date,
    }))
}

fn put_secret_value(secrets: &mut [Secret], request: PutSecretValue, now: u64) -> Result<Value, Refusal> {
    check_token(&request.client_request_token)?;
    let stages = request.version_stages.unwrap_or_else(|| vec![CURRENT.into()]);
    if stages.is_empty() {
        return Err(invalid_parameter("VersionStages must have at least 1 item."));
    }
    let secret = find(secrets, &request.secret_id)?;
    let version_id = request.client_request_token;
    match secret.versions.get(&version_id) {
        Some(version) if version.secret_string == request.secret_string => {}
        Some(_) => return Err(exists(format!("The version {version_id} already exists with another value."))),
        None => {
            let version = Version { secret_string: request.secret_string, created_date: now };
            secret.versions.insert(version_id.clone(), version);
            for stage in &stages {
                secret.attach(stage, &version_id);
            }
            secret.has_changed(now);
        }
    }
    Ok(json!({
        "ARN": secret.arn(),
        "Name": secret.name,
        "VersionId": version_id,
        "VersionStages": secret.stages_of(&version_id),
    }))
}

fn update_secret_version_stage(
    secrets: &mut [Secret],
    request: &UpdateSecretVersionStage,
    now: u64,
) -> Result<Value, Refusal> {
    let secret = find(secrets, &request.secret_id)?;
    let (stage, from, to) = (&request.version_stage, &request.remove_from_version_id, &request.move_to_version_id);
    for version_id in [from, to].into_iter().flatten() {
        if !secret.versions.contains_key(version_id) {
            return Err(not_found(&format!("secret version: {version_id}")));
        }
    }
    let attached_to = secret.stages.get(stage);
    if from.as_ref() != attached_to && (from.is_some() || to.as_ref() != attached_to) {
        let attached_to = attached_to.map_or("no version", String::as_str);
        return Err(invalid_parameter(&format!(
            "Staging label {stage} is currently attached to {attached_to}, which RemoveFromVersionId must name."
        )));
    }
    match to {
        Some(version_id) => secret.attach(stage, version_id),
        None if stage == CURRENT => {
            return Err(invalid_parameter(
                "You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.",
            ));
        }
        None => {
            secret.stages.remove(stage);
        }
    }
    secret.has_changed(now);
    Ok(json!({"ARN": secret.arn(), "Name": secret.name}))
}

impl Secret {
    fn new(name: String, version_id: String, secret_string: String, now: u64) -> Self {
        Self {
            name,
            created_date: now,
            last_changed_date: now,
            versions: BTreeMap::from([(version_id.clone(), Version { secret_string, created_date: now })]),
            stages: BTreeMap::from([(CURRENT.into(), version_id)]),
        }
    }

    fn arn(&self) -> String {
        format!("arn:aws:secretsmanager:{REGION}:000000000000:secret:{}", self.name)
    }

    /// Whether it has this name or ARN.
    fn is(&self, id: &str) -> bool {
        self.name == id || self.arn() == id
    }

    fn stages_of(&self, version_id: &str) -> Vec<&str> {
        let stages = self.stages.iter().filter(|(_, attached_to)| *attached_to == version_id);
        stages.map(|(stage, _)| stage.as_str()).collect()
    }

    /// Takes the label from the version that has it.
    fn attach(&mut self, stage: &str, version_id: &str) {
        let before = self.stages.insert(stage.into(), version_id.into());
        if let Some(before) = before.filter(|before| stage == CURRENT && before != version_id) {
            self.stages.insert(PREVIOUS.into(), before);
        }
    }

    fn has_changed(&mut self, now: u64) {
        self.last_changed_date = now;
        // AWS keeps versions without a label for a while, but promises nothing.
        let labelled = &self.stages;
        self.versions.retain(|id, _| labelled.values().any(|attached_to| attached_to == id));
    }
}

fn find<'a>(secrets: &'a mut [Secret], id: &str) -> Result<&'a mut Secret, Refusal> {
    let secret = secrets.iter_mut().find(|secret| secret.is(id));
    secret.ok_or_else(|| not_found("secret."))
}

fn check_token(client_request_token: &str) -> Result<(), Refusal> {
    match client_request_token.len() {
        32..=64 => Ok(()),
        _ => Err(invalid_parameter("ClientRequestToken must be 32-64 characters long.")),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| invalid_parameter(&error.to_string()))
}

fn exists(message: String) -> Refusal {
    Refusal("ResourceExistsException", message)
}

fn invalid_parameter(message: &str) -> Refusal {
    Refusal("InvalidParameterException", message.into())
}

fn invalid_request(message: &str) -> Refusal {
    Refusal("InvalidRequestException", message.into())
}

fn not_found(what: &str) -> Refusal {
    Refusal("ResourceNotFoundException", format!("Secrets Manager can't find the specified {what}"))
}

fn aws_error(status: StatusCode, code: &str, message: &str) -> Response {
    json_response(status, &json!({"__type": code, "message": message}))
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [("Content-Type", "application/x-amz-json-1.1")], body.to_string()).into_response()
}

fn read(folder: &Path) -> Result<Vec<Secret>, StartError> {
    let text = match fs::read(folder.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(file_error(folder, &error)),
    };
    // The error's own words may quote a secret.
    let place = |error: serde_json::Error| format!("broken at line {}, column {}", error.line(), error.column());
    serde_json::from_slice(&text).map_err(|error| file_error(folder, &place(error)))
}

/// Another process or a crash sees all of it or nothing. Only the owner may read it.
fn write(folder: &Path, secrets: &[Secret]) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(&serde_json::to_vec_pretty(secrets)?)?;
    file.as_file().sync_all()?;
    file.persist(folder.join(FILE))?;
    Ok(())
}

fn file_error(folder: &Path, error: &dyn std::fmt::Display) -> StartError {
    StartError::Data { folder: folder.display().to_string(), cause: format!("{FILE}: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        aws::{LocalAws, open_database, sdk_config},
        server,
    };
    use aws_sdk_secretsmanager::{
        Client,
        error::{ProvideErrorMetadata, SdkError},
    };

    const NOW: u64 = 1_800_000_000;

    enum Step {
        /// Version, value and labels; no labels, no list.
        Put(&'static str, &'static str, &'static [&'static str]),
        /// Label, and the versions that it is taken from and given to; `""` for none.
        Move(&'static str, &'static str, &'static str),
    }
    use Step::{Move, Put};

    /// The server, a client, and the ARN of a secret whose version `a` has the value `1`.
    async fn secret_of_one_version() -> (LocalAws, Client, String) {
        let secrets_manager = open(None, &[]).unwrap();
        let listener = server::bind(0, "").await.unwrap();
        let aws = LocalAws::start(listener, open_database(None).unwrap(), secrets_manager).await.unwrap();
        let client = Client::new(&sdk_config(&aws.server.url).await);
        let request = client.create_secret().name("s").client_request_token(id("a")).secret_string("1");
        let arn = request.send().await.unwrap().arn.unwrap();
        (aws, client, arn)
    }

    fn open(folder: Option<&Path>, initial: &[(&str, &str)]) -> Result<SecretsManager, StartError> {
        let initial = initial.iter().map(|(name, secret)| ((*name).into(), (*secret).into())).collect();
        SecretsManager::open(folder, initial, Clock::new(|| NOW))
    }

    fn id(version: &str) -> String {
        version.repeat(32)
    }

    fn optional_id(version: &str) -> Option<String> {
        (!version.is_empty()).then(|| id(version))
    }

    fn code<T, E: ProvideErrorMetadata>(answer: Result<T, SdkError<E>>) -> String {
        answer.err().map_or_else(String::new, |error| error.code().unwrap().into())
    }

    impl Step {
        /// The error's code, if any.
        async fn take(&self, client: &Client) -> String {
            match *self {
                Put(version, value, stages) => {
                    let stages = stages.iter().map(|stage| (*stage).to_owned()).collect::<Vec<_>>();
                    let request = client.put_secret_value().secret_id("s").client_request_token(id(version));
                    let stages = (!stages.is_empty()).then_some(stages);
                    code(request.secret_string(value).set_version_stages(stages).send().await)
                }
                Move(stage, from, to) => {
                    let request = client.update_secret_version_stage().secret_id("s").version_stage(stage);
                    let request = request.set_remove_from_version_id(optional_id(from));
                    code(request.set_move_to_version_id(optional_id(to)).send().await)
                }
            }
        }
    }

    /// The labels of each version, such as `a PREVIOUS, b CURRENT PENDING`.
    async fn labels(client: &Client) -> String {
        let versions = client.describe_secret().secret_id("s").send().await.unwrap().version_ids_to_stages.unwrap();
        let versions: BTreeMap<_, _> = versions.iter().collect();
        let of = |(id, stages): (&&String, &&Vec<String>)| format!("{} {}", &id[..1], stages.join(" "));
        versions.iter().map(of).collect::<Vec<_>>().join(", ").replace("AWS", "")
    }

    #[tokio::test]
    async fn labels_move_as_in_aws() {
        let (_aws, client, _) = secret_of_one_version().await;
        for (number, (step, error, then)) in [
            (Put("b", "2", &["AWSPENDING"]), "", "a CURRENT, b PENDING"),
            (Put("b", "2", &[CURRENT]), "", "a CURRENT, b PENDING"),
            (Put("b", "3", &["AWSPENDING"]), "ResourceExistsException", "a CURRENT, b PENDING"),
            (Move(CURRENT, "", "b"), "InvalidParameterException", "a CURRENT, b PENDING"),
            (Move(CURRENT, "b", "b"), "InvalidParameterException", "a CURRENT, b PENDING"),
            (Move(CURRENT, "a", "x"), "ResourceNotFoundException", "a CURRENT, b PENDING"),
            (Move(CURRENT, "a", ""), "InvalidParameterException", "a CURRENT, b PENDING"),
            (Move(CURRENT, "a", "b"), "", "a PREVIOUS, b CURRENT PENDING"),
            (Move(CURRENT, "a", "b"), "InvalidParameterException", "a PREVIOUS, b CURRENT PENDING"),
            (Move(CURRENT, "", "b"), "", "a PREVIOUS, b CURRENT PENDING"),
            (Put("c", "4", &[]), "", "b PENDING PREVIOUS, c CURRENT"),
            (Move("AWSPENDING", "c", ""), "InvalidParameterException", "b PENDING PREVIOUS, c CURRENT"),
            (Move("AWSPENDING", "b", ""), "", "b PREVIOUS, c CURRENT"),
            (Move("AWSPENDING", "b", ""), "InvalidParameterException", "b PREVIOUS, c CURRENT"),
            (Move(CURRENT, "c", "b"), "", "b CURRENT, c PREVIOUS"),
            (Move("mine", "", "c"), "", "b CURRENT, c PREVIOUS mine"),
            (Put("d", "5", &["mine", CURRENT]), "", "b PREVIOUS, d CURRENT mine"),
            (Move("mine", "d", "b"), "", "b PREVIOUS mine, d CURRENT"),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!((step.take(&client).await.as_str(), labels(&client).await.as_str()), (error, then), "{number}");
        }
    }

    #[tokio::test]
    async fn a_value_is_found_by_name_or_arn_and_version_and_label() {
        let (_aws, client, arn) = secret_of_one_version().await;
        assert_eq!(Put("b", "2", &[]).take(&client).await, "");
        for (secret, version, stage, value_or_code) in [
            ("s", "", None, "2"),
            (&arn, "", None, "2"),
            ("s", "a", None, "1"),
            ("s", "", Some(PREVIOUS), "1"),
            ("s", "a", Some(PREVIOUS), "1"),
            ("s", "a", Some(CURRENT), "InvalidRequestException"),
            ("s", "", Some("AWSPENDING"), "ResourceNotFoundException"),
            ("s", "c", Some("AWSPENDING"), "ResourceNotFoundException"),
            ("t", "", None, "ResourceNotFoundException"),
        ] {
            let request = client.get_secret_value().secret_id(secret).set_version_id(optional_id(version));
            let answer = request.set_version_stage(stage.map(str::to_owned)).send().await;
            let found = answer.as_ref().ok().and_then(|value| value.secret_string.clone());
            assert_eq!(found.unwrap_or_else(|| code(answer)), value_or_code, "{secret} {version} {stage:?}");
        }
        let secret = client.describe_secret().secret_id("s").send().await.unwrap();
        assert_eq!(
            (secret.arn.unwrap(), secret.name.unwrap(), secret.rotation_enabled),
            (arn, "s".into(), Some(false))
        );
        assert_eq!(secret.last_changed_date.unwrap().secs(), 1_800_000_000);
    }

    #[tokio::test]
    async fn what_aws_refuses_or_only_aws_can_do_is_refused() {
        let (_aws, client, _) = secret_of_one_version().await;
        let put = || client.put_secret_value().secret_id("s");
        let short = put().client_request_token("short").secret_string("2").send().await;
        let unlabelled = put().secret_string("2").set_version_stages(Some(Vec::new())).send().await;
        let empty = put().send().await;
        for answer in [short, unlabelled, empty] {
            assert_eq!(code(answer), "InvalidParameterException");
        }
        let again = client.create_secret().name("s").secret_string("2").send().await;
        assert_eq!(code(again), "ResourceExistsException");
        let recoverable = client.delete_secret().secret_id("s").recovery_window_in_days(7).send().await;
        assert_eq!(code(recoverable), "InvalidRequestException");
        let other = client.restore_secret().secret_id("s").send().await.unwrap_err();
        assert_eq!(other.code(), Some("InvalidRequestException"));
        assert!(
            other.message().unwrap().contains("answers CreateSecret, DeleteSecret, DescribeSecret, GetSecretValue")
        );
        assert_eq!(labels(&client).await, "a CURRENT");
    }

    #[tokio::test]
    async fn what_is_deleted_for_good_is_gone_and_its_name_is_free() {
        let (_aws, client, arn) = secret_of_one_version().await;
        client.create_secret().name("t").secret_string("2").send().await.unwrap();
        let delete = |id: &str| client.delete_secret().secret_id(id).force_delete_without_recovery(true).send();
        let deleted = delete(&arn).await.unwrap();
        assert_eq!((deleted.name(), deleted.deletion_date().unwrap().secs()), (Some("s"), 1_800_000_000));
        let gone = client.get_secret_value().secret_id("s").send().await;
        assert_eq!(code(gone), "ResourceNotFoundException");
        assert_eq!(delete("s").await.unwrap().name(), Some("s"), "as in AWS, one that is not there");
        let other = client.get_secret_value().secret_id("t").send().await.unwrap();
        assert_eq!(other.secret_string(), Some("2"));
        client.create_secret().name("s").secret_string("3").send().await.unwrap();
    }

    fn put(secrets_manager: &SecretsManager, value: &str) -> StatusCode {
        let body = json!({"SecretId": "s", "ClientRequestToken": id(value), "SecretString": value}).to_string();
        secrets_manager.answer("PutSecretValue", body.as_bytes()).status()
    }

    fn current_values(secrets_manager: &SecretsManager) -> Vec<String> {
        let secrets = secrets_manager.secrets.lock().unwrap();
        let current = |secret: &Secret| secret.versions[&secret.stages[CURRENT]].secret_string.clone();
        secrets.iter().map(current).collect()
    }

    #[test]
    fn a_folder_keeps_the_secrets_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(Some(folder.path()), &[("s", "1")]).unwrap();
        assert_eq!(put(&first, "2"), StatusCode::OK);
        let second = open(Some(folder.path()), &[("s", "1"), ("t", "3")]).unwrap();
        assert!(second.secrets.lock().unwrap()[..1] == first.secrets.lock().unwrap()[..]);
        assert_eq!(current_values(&second), ["2", "3"]);
        assert_eq!(current_values(&open(Some(folder.path()), &[]).unwrap()), ["2", "3"]);
        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(files, [FILE]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_change_that_cannot_be_written_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let secrets_manager = open(Some(folder.path()), &[("s", "1")]).unwrap();
        folder.close().unwrap();
        assert_eq!(put(&secrets_manager, "2"), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(current_values(&secrets_manager), ["1"]);
    }

    #[test]
    fn a_broken_file_is_said_to_be_without_quoting_it() {
        let folder = tempfile::tempdir().unwrap();
        for broken in ["", "\"key\"", "[{\"Name\": \"s\", \"Versions\": \"key\"}]"] {
            fs::write(folder.path().join(FILE), broken).unwrap();
            let error = open(Some(folder.path()), &[("s", "1")]).err().unwrap().to_string();
            assert!(error.contains("secrets.json: broken at line 1, column "), "{error}");
            assert!(!error.contains("key"), "{error}");
        }
    }
}
