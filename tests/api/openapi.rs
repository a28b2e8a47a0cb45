//! The API's description names just the endpoints that there are.

use crate::template::entries;
use std::collections::BTreeSet;
use tests::{Setup, TestStack};
use yaml_rust2::YamlLoader;

#[tokio::test]
async fn the_description_that_is_served_names_the_endpoints() {
    let stack = TestStack::start_with(Setup::for_pages_of("https://shop.example")).await;
    let served = reqwest::get(format!("{}/openapi.yaml", stack.url)).await.unwrap().text().await.unwrap();
    let description = YamlLoader::load_from_str(&served).unwrap().remove(0);
    let operations: BTreeSet<_> = entries(&description["paths"])
        .flat_map(|(path, item)| entries(item).map(move |(method, _)| format!("{} {path}", method.to_uppercase())))
        .collect();
    assert_eq!(
        operations.iter().collect::<Vec<_>>(),
        [
            "DELETE /auth/backend",
            "GET /auth/storefront",
            "GET /backend/tokens",
            "OPTIONS /auth/customers",
            "OPTIONS /auth/storefront",
            "POST /auth/backend",
            "POST /auth/backend/rotate",
            "POST /auth/customers",
            "POST /auth/customers/storefront",
            "POST /oauth/introspect",
        ]
    );
    for operation in operations {
        let (method, path) = operation.split_once(' ').unwrap();
        let answer = stack.request(method, path).header("Origin", "https://shop.example").send().await;
        assert_ne!(answer.status, 404, "{operation}");
    }
}
