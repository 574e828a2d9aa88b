//! Files as CloudTrail writes them, as others do, and damaged ones.

#![allow(clippy::unwrap_used)]

use std::io::Write;

use flate2::{Compression, GzBuilder};
use proptest::prelude::*;

use super::*;

const MAX: usize = 1 << 20;

fn inflate(gz: &[u8], max: usize) -> Result<(Vec<u8>, u32), Error> {
    let mut out = b"what was there before".to_vec();
    let inflated = Inflater::new().inflate(gz, max, &mut out);
    assert!(inflated.is_ok() || out.is_empty());
    let mut pieces = Vec::new();
    let through = Inflater::new().inflate_through(gz, max, |piece| pieces.extend_from_slice(piece));
    assert_eq!(through, inflated, "in pieces as in whole");
    assert!(through.is_err() || pieces == out);
    inflated.map(|inflated| (out, inflated.members))
}

fn named(content: &[u8]) -> Vec<u8> {
    let builder = GzBuilder::new().filename("a.json").comment("c").extra(vec![1; 300]).mtime(1_600_000_000);
    let mut writer = builder.write(Vec::new(), Compression::default());
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

fn deflate(content: &[u8]) -> Vec<u8> {
    Deflater::default().deflate(content)
}

#[test]
fn deflating_gives_one_member_without_time_or_name() {
    let gz = deflate(b"{\"Records\":[]}");
    assert_eq!(gz[..3], *b"\x1f\x8b\x08");
    assert_eq!(gz[3..8], [0; 5], "flags and mtime");
    assert_eq!(gz, Deflater::new(LEVEL_DEFAULT).deflate(b"{\"Records\":[]}"));
    assert_eq!(inflate(&gz, MAX), Ok((b"{\"Records\":[]}".to_vec(), 1)));
}

#[test]
fn usual_files_take_the_fast_way() {
    let mut inflater = Inflater::new();
    let mut out = Vec::new();
    for (content, gz) in [(&b"abc"[..], deflate(b"abc")), (b"abcd", named(b"abcd")), (b"", deflate(b""))] {
        assert!(inflater.inflate_one(&gz, MAX, &mut out).is_some());
        assert_eq!(out, content);
    }
}

#[test]
fn every_level_is_taken() {
    for level in [0, 1, 6, 12, 255] {
        assert_eq!(inflate(&Deflater::new(level).deflate(b"abc"), MAX), Ok((b"abc".to_vec(), 1)));
    }
}

// Trap 20: real files have a name and a time in the header.
#[test]
fn header_fields_are_passed_over_on_both_ways() {
    let gz = named(b"abc");
    assert_eq!(inflate(&gz, MAX), Ok((b"abc".to_vec(), 1)));
    let twice = [named(b"abc"), named(b"def")].concat();
    assert_eq!(inflate(&twice, MAX), Ok((b"abcdef".to_vec(), 2)));
}

#[test]
fn members_are_counted() {
    let parts: Vec<Vec<u8>> = (0..50_u8).map(|part| deflate(&vec![part; 3000])).collect();
    let (content, members) = inflate(&parts.concat(), MAX).unwrap();
    assert_eq!(members, 50);
    assert_eq!(content.len(), 150_000);
    assert_eq!((content[0], content[149_999]), (0, 49));
    // Without content as well.
    assert_eq!(inflate(&[deflate(b""), deflate(b"a"), deflate(b"")].concat(), MAX), Ok((b"a".to_vec(), 3)));
    assert_eq!(inflate(&deflate(b""), MAX), Ok((Vec::new(), 1)));
}

#[test]
fn the_cap_holds_to_the_byte_on_both_ways() {
    let content = vec![b'x'; 200_000];
    let one = deflate(&content);
    let two = [deflate(&content[..100_000]), deflate(&content[100_000..])].concat();
    for gz in [&one, &two] {
        assert_eq!(inflate(gz, 200_000).unwrap().0, content);
        assert_eq!(inflate(gz, 199_999), Err(Error::TooLarge { max: 199_999 }));
        assert_eq!(inflate(gz, 0), Err(Error::TooLarge { max: 0 }));
    }
    assert_eq!(inflate(&deflate(b""), 0), Ok((Vec::new(), 1)));
}

#[test]
fn over_the_cap_no_more_than_the_cap_is_allocated() {
    let bomb = deflate(&vec![0; 64 << 20]);
    for max in [0, 1000, MAX] {
        let mut out = Vec::new();
        assert_eq!(Inflater::new().inflate(&bomb, max, &mut out), Err(Error::TooLarge { max }));
        assert!(out.capacity() <= max, "{}", out.capacity());
    }
    // A trailer that lies about a small file does not get its memory.
    let mut liar = deflate(b"abc");
    let size = liar.len() - 4;
    liar[size..].copy_from_slice(&(1_u32 << 30).to_le_bytes());
    let mut out = Vec::new();
    assert!(matches!(Inflater::new().inflate(&liar, 1 << 30, &mut out), Err(Error::Corrupt(_))));
    assert!(out.capacity() < MAX);
}

#[test]
fn what_is_wrong_is_told_apart() {
    let good = deflate(b"abcabcabcabcabcabc");
    assert_eq!(inflate(b"", MAX), Err(Error::Empty));
    assert_eq!(inflate(b"{\"Records\":[]}", MAX), Err(Error::NotGzip));
    for end in 1..good.len() {
        assert_eq!(inflate(&good[..end], MAX), Err(Error::Truncated { member: 1 }), "{end}");
        let two = [&good, &good[..end]].concat();
        let expected = if end < 3 {
            Error::TrailingData { offset: good.len(), len: end, members: 1 }
        } else {
            Error::Truncated { member: 2 }
        };
        assert_eq!(inflate(&two, MAX), Err(expected), "{end}");
    }
    for end in 1..named(b"abc").len() {
        assert_eq!(inflate(&named(b"abc")[..end], MAX), Err(Error::Truncated { member: 1 }), "{end}");
    }
    for (trailing, members) in [(&b"\n"[..], 1), (&[0; 512], 1), (b"junk that is long enough", 1)] {
        let gz = [&good, trailing].concat();
        assert_eq!(inflate(&gz, MAX), Err(Error::TrailingData { offset: good.len(), len: trailing.len(), members }));
    }
    let mut reserved = good.clone();
    reserved[3] = 0x80;
    let mut checksum = good.clone();
    checksum[good.len() - 8] ^= 1;
    let mut length = good.clone();
    length[good.len() - 4] ^= 1;
    let mut data = good.clone();
    data[10] = 0xff;
    for (gz, what) in [
        (reserved, "reserved flag in member 1"),
        (checksum, "wrong checksum in member 1"),
        (length, "wrong length in member 1"),
        (data, "deflate data: "),
    ] {
        let error = inflate(&gz, MAX).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}

// The fast way alone would take the first member's content for the whole.
#[test]
fn a_copy_of_the_trailer_does_not_hide_a_second_member() {
    let gz = [deflate(b"abc"), deflate(b"abc")].concat();
    assert_eq!(inflate(&gz, MAX), Ok((b"abcabc".to_vec(), 2)));
}

#[test]
fn magic_inside_a_member_is_not_a_member() {
    // Stored, not compressed, so the bytes stand in the file as they are.
    let mut content = Vec::new();
    while content.len() < 4096 {
        content.extend_from_slice(b"\x1f\x8b\x08\x00");
        content.extend_from_slice(&(content.len() as u32).wrapping_mul(2_654_435_761).to_le_bytes());
    }
    let mut writer = GzBuilder::new().write(Vec::new(), Compression::none());
    writer.write_all(&content).unwrap();
    assert_eq!(inflate(&writer.finish().unwrap(), MAX), Ok((content, 1)));
}

#[test]
fn an_inflater_forgets_the_file_before() {
    let mut inflater = Inflater::new();
    let mut out = Vec::new();
    let long = [deflate(&[7; 5000]), deflate(b"x")].concat();
    for _ in 0..3 {
        assert_eq!(inflater.inflate(&long, MAX, &mut out).unwrap().members, 2);
        assert_eq!(out.len(), 5001);
        assert!(inflater.inflate(&long[..30], MAX, &mut out).is_err());
        assert_eq!(inflater.inflate(&deflate(b"ab"), MAX, &mut out).unwrap().members, 1);
        assert_eq!(out, b"ab");
    }
}

#[test]
fn both_can_be_sent_to_another_thread() {
    fn send<T: Send>() {}
    send::<Inflater>();
    send::<Deflater>();
}

proptest! {
    #[test]
    fn any_content_comes_back(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..4)) {
        let gz: Vec<u8> = parts.iter().flat_map(|part| deflate(part)).collect();
        let (content, members) = inflate(&gz, MAX).unwrap();
        prop_assert_eq!(content, parts.concat());
        prop_assert_eq!(members as usize, parts.len());
    }

    #[test]
    fn no_damage_goes_unnoticed_or_panics(content in prop::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), byte: u8) {
        let mut gz = deflate(&content);
        let at = at.index(gz.len());
        gz[at] = byte;
        // mtime, extra flags and system say nothing about the content.
        if let Ok((inflated, _)) = inflate(&gz, MAX) {
            prop_assert_eq!(inflated, content);
        }
    }
}
