//! Whether the stack and this tool are of the same version.

use super::finding::Finding;
use crate::tool::Tool;

const VERSION: &str = "version";
const OF_THE_TOOL: &str = env!("CARGO_PKG_VERSION");

/// None for the local stack, which `cargo run` has made from the sources.
pub fn check(tool: &Tool) -> Option<Finding> {
    tool.stack.is_deployed().then(|| compared(tool.stack.version.as_deref()))
}

fn compared(deployed: Option<&str>) -> Finding {
    let Some(deployed) = deployed else {
        return Finding::doubtful(
            VERSION,
            format!("The stack has no output Version: it is older than this tool, which is {OF_THE_TOOL}."),
            "Deploy again with `sam build && sam deploy`, from the sources of this tool.",
        );
    };
    if deployed == OF_THE_TOOL {
        return Finding::good(VERSION, format!("{OF_THE_TOOL}, as this tool is."));
    }
    let says = format!("The stack is {deployed}, and this tool {OF_THE_TOOL}: one may not know what the other does.");
    let mend = if numbers(deployed) > numbers(OF_THE_TOOL) {
        format!("Build this tool anew, from the sources of {deployed}: `cargo build --release --locked -p admin`.")
    } else {
        format!("Deploy {OF_THE_TOOL} with `sam build && sam deploy`, or use the tool of {deployed} until then.")
    };
    Finding::doubtful(VERSION, says, mend)
}

fn numbers(version: &str) -> Vec<Option<u64>> {
    version.split(['.', '-', '+']).map(|part| part.parse().ok()).collect()
}
