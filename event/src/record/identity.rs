//! What tells two records apart.

use ring::digest;
use xxhash_rust::xxh3::xxh3_64;

use super::Header;

/// A record's identity: equal in both parts means a copy of the same record.
///
/// Real copies are byte-identical, and one id occurs over different bytes, so both parts count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The 16 bytes of an eventID that is a UUID. Of any other eventID, or of the raw bytes where there is none or an
    /// empty one, the first half of a SHA-256.
    pub id: [u8; 16],
    /// XXH3 of the raw bytes, 64 bits, seed 0. Part of stored keys: must stay the same for ever.
    pub content: u64,
}

/// The identity of the record with these raw bytes.
pub fn identity(header: &Header<'_>, raw: &[u8]) -> Identity {
    let id = match header.event_id.as_deref() {
        None | Some("") => hashed(b"orgtrail record without id\0", raw),
        Some(id) => uuid(id.as_bytes()).unwrap_or_else(|| hashed(b"orgtrail event id\0", id.as_bytes())),
    };
    Identity { id, content: xxh3_64(raw) }
}

fn hashed(domain: &[u8], bytes: &[u8]) -> [u8; 16] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(domain);
    context.update(bytes);
    let digest = context.finish();
    *digest.as_ref().first_chunk().expect("a SHA-256 has 32 bytes")
}

/// The bytes of a UUID in its canonical form of 36 characters, in either case.
fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != 36 {
        return None;
    }
    let mut id = [0; 16];
    let mut at = 0;
    for (index, byte) in id.iter_mut().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            if text[at] != b'-' {
                return None;
            }
            at += 1;
        }
        *byte = nibble(text[at])? << 4 | nibble(text[at + 1])?;
        at += 2;
    }
    Some(id)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(id: Option<&str>, raw: &str) -> Identity {
        identity(&Header { event_id: id.map(Into::into), ..Header::default() }, raw.as_bytes())
    }

    #[test]
    fn a_uuid_is_its_own_bytes_in_either_case() {
        let id = of(Some("14b20909-b46b-4f74-b725-d987888edbc7"), "x").id;
        assert_eq!(id, 0x14b2_0909_b46b_4f74_b725_d987_888e_dbc7_u128.to_be_bytes());
        assert_eq!(of(Some("14B20909-B46B-4F74-B725-D987888EDBC7"), "x").id, id);
    }

    // Trap 4: EXAMPLE…, `1`, `...`, and no id at all.
    #[test]
    fn other_ids_and_missing_ids_have_identities_of_their_own() {
        let mut ids = vec![
            of(Some("EXAMPLE8-9621-4d00-b913-EXAMPLEbca7"), "x").id,
            of(Some("14b20909b46b4f74b725d987888edbc7"), "x").id,
            of(Some("14b20909-b46b-4f74-b725-d987888edbcg"), "x").id,
            of(Some("14b20909_b46b_4f74_b725_d987888edbc7"), "x").id,
            of(Some("1"), "x").id,
            of(Some("..."), "x").id,
            of(Some("x"), "x").id,
            of(None, "x").id,
            of(None, "y").id,
        ];
        assert_eq!(of(Some(""), "x").id, of(None, "x").id);
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn same_id_over_other_bytes_differs_in_content_only() {
        let (a, b) = (of(Some("1"), "x"), of(Some("1"), "y"));
        assert_eq!(a.id, b.id);
        assert_ne!(a.content, b.content);
    }

    // Stored keys hold these numbers: a change of either function would let every copy through once.
    #[test]
    fn identities_never_change() {
        assert_eq!(of(None, "").content, 0x2d06_8005_38d3_94c2);
        assert_eq!(of(Some("1"), "").id, 0xc5e2_bc79_3ec9_88ac_789e_31af_73ff_5e01_u128.to_be_bytes());
        assert_eq!(of(None, "").id, 0x7245_0d57_71cb_db1e_d21d_6a41_5e60_d13f_u128.to_be_bytes());
    }
}
