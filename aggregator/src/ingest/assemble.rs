//! Puts the parts of one large object together. Owns at most one unfinished object, whose size is bounded.

use bytes::{Bytes, BytesMut};
use orgtrail_proto::{Batch, Object, ObjectRef, Part};

/// Parts that can't belong together: the agent is at fault, its stream ends.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("object of {bytes} bytes is over the limit of {max} (ingest.object_bytes_max)")]
    TooLarge { bytes: u64, max: u64 },
    #[error("part at byte {got} where byte {expected} was due")]
    OutOfOrder { got: u64, expected: u64 },
}

/// The unfinished object of one stream.
#[derive(Debug)]
pub(crate) struct Assembly {
    object_bytes_max: u64,
    unfinished: Option<(u64, ObjectRef, BytesMut)>,
}

impl Assembly {
    pub(crate) fn new(object_bytes_max: u64) -> Self {
        Self { object_bytes_max, unfinished: None }
    }

    /// Takes a part; gives the object as a batch of one when it is complete.
    pub(crate) fn push(&mut self, part: Part) -> Result<Option<Batch>, Error> {
        if part.gzip_bytes > self.object_bytes_max {
            return Err(Error::TooLarge { bytes: part.gzip_bytes, max: self.object_bytes_max });
        }
        let last = part.is_last();
        let (id, reference, mut gzip) = match self.unfinished.take() {
            None => (part.id, part.reference, BytesMut::new()),
            // A stream that broke in the middle begins the object again.
            Some((id, reference, gzip)) if id == part.id && part.offset > 0 => (id, reference, gzip),
            Some(_) => (part.id, part.reference, BytesMut::new()),
        };
        if part.offset != gzip.len() as u64 {
            return Err(Error::OutOfOrder { got: part.offset, expected: gzip.len() as u64 });
        }
        gzip.extend_from_slice(&part.slice);
        if !last {
            self.unfinished = Some((id, reference, gzip));
            return Ok(None);
        }
        let gzip: Bytes = gzip.freeze();
        Ok(Some(Batch { id, objects: vec![Object { reference, gzip, digest: part.digest, backfill: part.backfill }] }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(id: u64, offset: u64, slice: &'static [u8]) -> Part {
        let reference = ObjectRef {
            source: "s".into(),
            key: "k".into(),
            etag: String::new(),
            sha256: [0; 32],
            inflated_bytes: 0,
            last_modified: 0,
        };
        Part { id, reference, offset, gzip_bytes: 6, slice: Bytes::from_static(slice), digest: None, backfill: None }
    }

    #[test]
    fn parts_become_the_object_they_were() {
        let mut assembly = Assembly::new(6);
        assert_eq!(assembly.push(part(1, 0, b"abc")), Ok(None));
        assert_eq!(assembly.push(part(1, 3, b"d")), Ok(None));
        let batch = assembly.push(part(1, 4, b"ef")).expect("in order").expect("complete");
        assert_eq!((batch.id, &batch.objects[0].gzip[..]), (1, &b"abcdef"[..]));
    }

    #[test]
    fn a_gap_and_an_object_over_the_limit_are_refused() {
        let mut assembly = Assembly::new(6);
        assert_eq!(assembly.push(part(1, 0, b"abc")), Ok(None));
        assert_eq!(assembly.push(part(1, 4, b"ef")), Err(Error::OutOfOrder { got: 4, expected: 3 }));
        assert_eq!(Assembly::new(5).push(part(1, 0, b"a")), Err(Error::TooLarge { bytes: 6, max: 5 }));
    }

    #[test]
    fn an_object_may_begin_again() {
        let mut assembly = Assembly::new(6);
        assert_eq!(assembly.push(part(1, 0, b"abc")), Ok(None));
        assert_eq!(assembly.push(part(2, 0, b"abcde")), Ok(None));
        assert!(assembly.push(part(2, 5, b"f")).expect("in order").is_some());
    }
}
