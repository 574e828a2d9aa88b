//! The names of an object's records for the usage ledger: each once, and for each record which.

use std::collections::HashMap;

use orgtrail_event::record::Header;
use xxhash_rust::xxh3::{Xxh3DefaultBuilder, xxh3_64_with_seed};

use crate::usage::{Class, Names, Table, kept_name};

/// Of one object. On the way of every record, so looking a name up allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Naming {
    names: Vec<Names>,
    by_hash: HashMap<u64, u32, Xxh3DefaultBuilder>,
}

impl Naming {
    /// The place of the record's names among those of the object. `folder_account` is whose folder the object is in.
    pub(super) fn place(&mut self, header: &Header<'_>, folder_account: &str) -> u32 {
        let own = header.recipient_account_id.as_deref();
        let account = own.filter(|own| is_account(own)).unwrap_or(folder_account);
        let source = kept_name(header.event_source.as_deref());
        let name = kept_name(header.event_name.as_deref());
        let class = Class::of(header);
        let hash =
            [account, source, name].iter().fold(class as u64, |seed, text| xxh3_64_with_seed(text.as_bytes(), seed));
        let is = |names: &Names| {
            names.name == name && names.source == source && names.account == account && names.class == class
        };
        if let Some(place) = self.by_hash.get(&hash).copied().filter(|place| is(&self.names[*place as usize])) {
            return place;
        }
        // Absent; or, once in 2^64, another's hash: then it is in the list twice, which counts the same.
        let place = u32::try_from(self.names.len()).expect("a file holds fewer than 2^32 records");
        let (account, source, name) = (account.to_owned(), source.to_owned(), name.to_owned());
        self.names.push(Names { table: Table::Events, account, source, name, class });
        self.by_hash.insert(hash, place);
        place
    }

    /// The names, in the order of their places.
    pub(super) fn into_names(self) -> Vec<Names> {
        self.names
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn header<'a>(account: &'a str, source: &'a str, name: &'a str) -> Header<'a> {
        Header {
            recipient_account_id: Some(Cow::Borrowed(account)),
            event_source: Some(Cow::Borrowed(source)),
            event_name: Some(Cow::Borrowed(name)),
            ..Header::default()
        }
    }

    #[test]
    fn names_are_told_once_and_what_is_no_name_is_not_told() {
        let mut naming = Naming::default();
        let long = "x".repeat(129);
        let headers = [
            header("111122223333", "s3.amazonaws.com", "GetObject"),
            header("111122223333", "s3.amazonaws.com", "GetObject"),
            header("no account", "s3.amazonaws.com", "GetObject"),
            header("111122223333", "", &long),
            header("111122223333", "a\u{1b}[2J", "Get"),
        ];
        let places: Vec<_> = headers.iter().map(|header| naming.place(header, "444455556666")).collect();
        assert_eq!(places, [0, 0, 1, 2, 3]);
        let told: Vec<_> = naming.into_names().into_iter().map(|one| (one.account, one.source, one.name)).collect();
        let expected = [
            ("111122223333", "s3.amazonaws.com", "GetObject"),
            ("444455556666", "s3.amazonaws.com", "GetObject"),
            ("111122223333", "-", "other"),
            ("111122223333", "other", "Get"),
        ];
        assert_eq!(told, expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
    }
}
