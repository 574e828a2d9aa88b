//! The lake's event data stores: whether their tables can be read.

use orgtrail_lake::Config;
use orgtrail_service::clock::system;

use super::check::{Chain, Check};

const TABLES: &str = "tables";

/// Opens what a configuration names, and writes nothing.
pub(super) async fn places(config: &Config) -> Vec<Check> {
    let mut chain = Chain::new("lake".to_owned());
    match orgtrail_lake::overview(config, &system()).await {
        Ok(stores) => {
            let there = stores.iter().filter(|store| store.content.is_some()).count();
            chain.ok(TABLES, format!("{there} of {} event data stores have been imported into", stores.len()));
        }
        Err(error) => chain.fail(TABLES, error.to_string(), Vec::new()),
    }
    chain.end()
}
