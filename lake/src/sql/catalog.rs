//! Which event data stores there are, and what they go by.

use super::engine::StoreName;
use super::suggest;

/// The event data stores of an engine.
#[derive(Clone, Debug, Default)]
pub(super) struct Catalog {
    stores: Vec<StoreName>,
}

impl Catalog {
    /// Adds one; in place of another with the same name.
    pub(super) fn add(&mut self, store: StoreName) {
        self.stores.retain(|other| !other.name.eq_ignore_ascii_case(&store.name));
        self.stores.push(store);
        self.stores.sort_by(|left, right| left.name.cmp(&right.name));
    }

    pub(super) fn stores(&self) -> &[StoreName] {
        &self.stores
    }

    /// The one with this name, id, or ARN, in any case.
    pub(super) fn find(&self, name: &str) -> Option<&StoreName> {
        // Of an ARN, `arn:aws:cloudtrail:us-east-1:111122223333:eventdatastore/<id>`, the last part.
        let name = name.rsplit('/').next().unwrap_or(name);
        self.stores.iter().find(|store| store.name.eq_ignore_ascii_case(name) || store.id.eq_ignore_ascii_case(name))
    }

    /// Everything that a store goes by, for the tokenizer.
    pub(super) fn names(&self) -> Vec<String> {
        self.stores
            .iter()
            .flat_map(|store| [store.name.clone(), store.id.clone()])
            .filter(|name| !name.is_empty())
            .collect()
    }

    /// What to try instead of a name that doesn't exist.
    pub(super) fn help(&self, wrong: &str) -> String {
        let near = suggest::sentence(wrong, self.stores.iter().map(|store| store.name.as_str()));
        if !near.is_empty() {
            return near;
        }
        match self.stores.as_slice() {
            [] => "; there are none".to_owned(),
            stores => {
                let names: Vec<_> = stores.iter().map(|store| store.name.as_str()).collect();
                format!("; there are: {}", names.join(", "))
            }
        }
    }
}
