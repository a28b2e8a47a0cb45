//! `issue-storefront-token` in JavaScript and in Python, as it is commonly written there, to compare ours with.

use crate::{Program, event, with_token};
use local::demo;
use serde_json::{Value, json};
use shared::keys::{jwt, keyring::Keyring};
use std::{fs, path::Path, process::Command};
use tests::{Lambda, decode, demo_key, keyed, sign, signed_with_demo_key, with};

/// Bundles the function in JavaScript, in a folder of its own; or says why that cannot be done here.
pub fn node(target: &Path) -> Result<Program, String> {
    let folder = target.join("peers").join("node");
    copy("node", &["index.mjs", "package.json", "package-lock.json"], &folder);
    let path = run(&folder, "node", &["-p", "process.execPath"])?.into();
    run(&folder, "npm", &["ci", "--ignore-scripts"])?;
    run(&folder, "npm", &["run", "build"])?;
    Ok(Program { path, arguments: &["--no-warnings", "index.cjs"], folder: folder.join("build") })
}

/// Installs the function in Python beside what it imports, Lambda's own client of the Runtime API included; or says why that
/// cannot be done here.
pub fn python(target: &Path) -> Result<Program, String> {
    let folder = target.join("peers").join("python");
    copy("python", &["requirements.txt"], &folder);
    copy("python", &["function.py"], &folder.join("package"));
    let path = run(&folder, "python3", &["-c", "import sys; print(sys.executable)"])?.into();
    let install = ["-m", "pip", "install", "--upgrade", "--target", "package", "--requirement", "requirements.txt"];
    run(&folder, "python3", &install)?;
    Ok(Program { path, arguments: &["-m", "awslambdaric", "function.handler"], folder: folder.join("package") })
}

fn copy(language: &str, files: &[&str], folder: &Path) {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches").join("peers").join(language);
    fs::create_dir_all(folder).unwrap();
    for file in files {
        fs::copy(sources.join(file), folder.join(file)).unwrap();
    }
}

/// What the program prints.
fn run(folder: &Path, program: &str, arguments: &[&str]) -> Result<String, String> {
    let command = format!("{program} {}", arguments.join(" "));
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let output = output.map_err(|error| format!("{command}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().into())
}

/// A peer that did less than ours would be faster for it: it must answer as ours does, and refuse what ours refuses.
pub async fn check(peer: &Lambda, ours: &Lambda) {
    let claims = decode(&demo::token()).1;
    let forged = sign(&keyed("demo"), &claims, "another key than that of the demo keyring");
    let deleted = signed_with_demo_key(&with(claims.clone(), "jti", "999"));
    let of_another_record = signed_with_demo_key(&with(claims, "iat", 1));
    let body = json!({"customerId": demo::BUYER_ID});
    for event in [
        event(&body),
        event(&json!({"customerId": demo::OTHER_BUYER_ID})),
        with_token("not.a.token", &body),
        with_token(&forged, &body),
        with_token(&deleted, &body),
        with_token(&of_another_record, &body),
    ] {
        let mut answers = (Value::Null, Value::Null);
        // Where a second begins between the two they differ.
        for _ in 0..3 {
            answers = (comparable(ours.answer(&event).await), comparable(peer.answer(&event).await));
            if answers.0 == answers.1 {
                break;
            }
        }
        assert_eq!(answers.0, answers.1, "{event}");
    }
}

/// The answer, with header and claims of its token, whose signature must be good. Their order is the library's choice.
fn comparable((status, mut body): (u16, Value)) -> Value {
    if let Some(token) = body["data"]["token"][0].as_str() {
        let keyring = Keyring::parse(&demo_key().to_string()).unwrap();
        jwt::signed_claims::<Value>(token, "demo", &keyring).unwrap();
        body["data"]["token"][0] = json!(decode(token));
    }
    json!([status, body])
}
