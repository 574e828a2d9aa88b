//! The bytes of bad records in the quarantine. An entry is sealed for itself: it carries its data key's ciphertext, so it can
//! be read as long as the key service allows it, whatever became of the journal and of `seal.json`.

use std::collections::HashMap;
use std::path::Path;

use orgtrail_cloud::Connection;
use orgtrail_cloud::key_service::EncryptionContext;
use orgtrail_service::quarantine::Entry;

use crate::outside::world;

use super::keeper::Source;
use super::stored::{from_text, to_text};
use super::{DataKey, Error, Seal, key_id_of};

const SPACE: &str = "quarantine";

/// Names of the entry's fields.
const KEY_ID: &str = "seal.key_id";
const DATA_KEY: &str = "seal.data_key";
const CONTEXT: &str = "seal.context";

impl Seal {
    /// Seals the entry's payload, if it has one.
    pub(crate) fn seal_payload(&self, entry: &mut Entry) -> Result<(), Error> {
        let Some(ring) = &self.0 else { return Ok(()) };
        let Some(payload) = entry.payload.take() else { return Ok(()) };
        let key = entry.id.to_string();
        // The current data key may be replaced between the two lines: the one that sealed is the one to name.
        let listed = ring.current_stored();
        let data_key = ring.key(listed.id).ok_or_else(|| Error::damaged(SPACE, "its data key is gone"))?;
        entry.payload = Some(data_key.seal(SPACE, key.as_bytes(), &payload)?);
        let context = serde_json::to_string(&listed.context).expect("a map of texts is always JSON");
        entry.fields.insert(KEY_ID.to_owned(), ring.lock_stored().key_id.clone());
        entry.fields.insert(DATA_KEY.to_owned(), to_text(&listed.ciphertext));
        entry.fields.insert(CONTEXT.to_owned(), context);
        Ok(())
    }
}

/// The key that an entry's payload is sealed under. None: it isn't sealed.
pub fn sealed_under(entry: &Entry) -> Option<&str> {
    entry.payload.as_ref().and_then(|_| entry.fields.get(KEY_ID)).map(String::as_str)
}

/// Opens an entry's payload, if it is sealed, and removes the fields that say how.
///
/// # Errors
/// The key service can't be reached or refuses; the entry is then as it was.
pub async fn open_payload(entry: &mut Entry, connection: &Connection, dir: &Path) -> Result<(), Error> {
    Opener::new(connection.clone(), None).open(entry, dir).await
}

/// Opens many payloads, asking once for each data key.
pub(super) struct Opener {
    connection: Connection,
    /// Where the key is to be found now, when it isn't where the entry says.
    key_id: Option<String>,
    sources: HashMap<String, Source>,
    data_keys: HashMap<(String, u32), DataKey>,
}

impl Opener {
    pub(super) fn new(connection: Connection, key_id: Option<String>) -> Self {
        Self { connection, key_id, sources: HashMap::new(), data_keys: HashMap::new() }
    }

    pub(super) async fn open(&mut self, entry: &mut Entry, dir: &Path) -> Result<(), Error> {
        let Some(sealed_under) = sealed_under(entry) else { return Ok(()) };
        let key_id = self.key_id.clone().unwrap_or_else(|| sealed_under.to_owned());
        let sealed = entry.payload.as_deref().unwrap_or_default();
        let opened = self.open_with(&key_id, entry, sealed, dir).await?;
        entry.payload = Some(opened);
        for field in [KEY_ID, DATA_KEY, CONTEXT] {
            entry.fields.remove(field);
        }
        Ok(())
    }

    async fn open_with(&mut self, key_id: &str, entry: &Entry, sealed: &[u8], dir: &Path) -> Result<Vec<u8>, Error> {
        let field = |name| entry.fields.get(name).map(String::as_str).unwrap_or_default();
        let name = (field(DATA_KEY).to_owned(), key_id_of(SPACE, sealed)?);
        if !self.data_keys.contains_key(&name) {
            let ciphertext =
                from_text(&name.0).ok_or_else(|| Error::damaged(SPACE, "its field seal.data_key isn't base64"))?;
            let context: EncryptionContext = serde_json::from_str(field(CONTEXT))
                .map_err(|_| Error::damaged(SPACE, "its field seal.context can't be read"))?;
            if !self.sources.contains_key(key_id) {
                self.sources.insert(key_id.to_owned(), Source::open(&world(), key_id, &self.connection, dir).await?);
            }
            let plaintext = self.sources[key_id].service.decrypt(&ciphertext, &context).await;
            let plaintext = plaintext.map_err(|source| Error::KeyService {
                action: "open the data key of a quarantine entry",
                dir: dir.to_owned(),
                source,
            })?;
            self.data_keys.insert(name.clone(), DataKey::new(name.1, &plaintext)?);
        }
        self.data_keys[&name].open(SPACE, entry.id.to_string().as_bytes(), sealed)
    }
}
