use crate::{Outcome, RuntimeApi};
use serde_json::{Value, json};
use shared::lambda::STRICT_TRANSPORT;
use std::{
    path::Path,
    process::{Child, Command},
    time::Duration,
};

/// A function's real binary, while it runs under a Runtime API of its own.
pub struct Lambda {
    runtime_api: RuntimeApi,
    process: Child,
}

impl Lambda {
    pub async fn start(binary: &str, aws_url: &str) -> Self {
        let runtime_api = RuntimeApi::start().await;
        let command = runtime_api.command(Path::new(binary), aws_url);
        Self::spawn(runtime_api, command)
    }

    /// Starts a command that the Runtime API made.
    pub fn spawn(runtime_api: RuntimeApi, mut command: Command) -> Self {
        let process = command.spawn().unwrap();
        Self { runtime_api, process }
    }

    pub async fn invoke(&self, event: &str) -> Outcome {
        let outcome = self.runtime_api.invoke(event.into());
        tokio::time::timeout(Duration::from_secs(20), outcome).await.unwrap().unwrap()
    }

    /// Status and body of the answer.
    pub async fn answer(&self, event: &Value) -> (u16, Value) {
        match self.invoke(&event.to_string()).await {
            Outcome::Response(response) => {
                let response: Value = serde_json::from_str(&response).unwrap();
                let headers = &response["multiValueHeaders"];
                assert_eq!(headers["strict-transport-security"], json!([STRICT_TRANSPORT]), "{response}");
                assert_eq!(headers["x-content-type-options"], json!(["nosniff"]), "{response}");
                let body: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
                // What introspection tells is in no envelope.
                if body["active"].is_null() {
                    assert_eq!(body["code"], response["statusCode"], "{response}");
                }
                (response["statusCode"].as_u64().unwrap().try_into().unwrap(), body)
            }
            Outcome::Error(error) => panic!("{event}: {error}"),
        }
    }

    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
