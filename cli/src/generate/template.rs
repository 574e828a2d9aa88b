//! Record templates compiled once and filled in many times: plain bytes copied to the output, with slots between them.
//!
//! A slot is written `{{name}}` in a template's text (JSON itself never holds `{{`); `{{x=name}}` also remembers what was
//! written, and `{{x}}` writes it again. This module owns the slots; the texts stand in `templates/`.

use super::cast::{Account, Class, Identity, Pool};
use super::random::{Alphabet, Random};
use super::time;

/// What one record is filled in with.
pub(super) struct Scene<'a> {
    pub account: &'a Account,
    /// The record's own `awsRegion`.
    pub region: &'a str,
    /// When the call completed, Unix seconds.
    pub time: i64,
}

/// A compiled record template.
#[derive(Debug)]
pub(super) struct Template {
    pieces: Vec<Piece>,
    tail: Box<[u8]>,
    marks: usize,
}

#[derive(Debug)]
struct Piece {
    before: Box<[u8]>,
    slot: Slot,
    /// Where to remember the written text, counted from 1; 0 remembers nothing.
    mark: usize,
}

#[derive(Debug)]
enum Slot {
    Uuid,
    Time,
    /// A Java-style date so many minutes after the record's time, with this text before AM or PM.
    JavaDate(i64, &'static str),
    Millis,
    Account,
    Region,
    /// The caller's identity without its closing brace; picks whom `Ip` and `Agent` then belong to.
    Who(Class),
    Ip,
    Agent,
    Text(Alphabet, usize, bool),
    Number(u64, u64),
    Pick(Box<[String]>),
    Pool(Pool),
    /// The key of a data file below one of the account's folders.
    Object,
    Again(usize),
}

impl Template {
    /// Compiles `text`. Panics on an unknown slot: templates are part of the program, and a test compiles all of them.
    pub(super) fn compile(text: &str) -> Self {
        let mut names: Vec<&str> = Vec::new();
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, after) = after.split_once("}}").expect("a slot that is opened is closed");
            let (mark, slot) = match inside.split_once('=') {
                Some((name, slot)) if name.len() == 1 => {
                    names.push(name);
                    (names.len(), Slot::parse(slot))
                }
                _ => match names.iter().position(|name| *name == inside) {
                    Some(earlier) => (0, Slot::Again(earlier)),
                    None => (0, Slot::parse(inside)),
                },
            };
            pieces.push(Piece { before: before.as_bytes().into(), slot, mark });
            rest = after;
        }
        Self { pieces, tail: rest.as_bytes().into(), marks: names.len() }
    }

    /// Appends one record.
    pub(super) fn render(&self, scene: &Scene<'_>, random: &mut Random, out: &mut Vec<u8>) {
        let mut marks = [(0, 0); MARKS_MAX];
        debug_assert!(self.marks <= MARKS_MAX, "a template remembers at most {MARKS_MAX} texts");
        let mut caller: Option<&Identity> = None;
        for piece in &self.pieces {
            out.extend_from_slice(&piece.before);
            let from = out.len();
            match &piece.slot {
                Slot::Again(mark) => {
                    let (from, to) = marks[*mark];
                    out.extend_from_within(from..to);
                }
                Slot::Who(class) => {
                    let identity = scene.account.identity(*class, random);
                    identity.write(scene.account, scene.time, out);
                    caller = Some(identity);
                }
                Slot::Ip => out.extend_from_slice(caller.map_or("198.51.100.1", |who| &who.ip).as_bytes()),
                Slot::Agent => out.extend_from_slice(caller.map_or("aws-cli/2.30.0", |who| &who.agent).as_bytes()),
                slot => slot.render(scene, random, out),
            }
            if piece.mark > 0 {
                marks[piece.mark - 1] = (from, out.len());
            }
        }
        out.extend_from_slice(&self.tail);
    }
}

/// How many texts one template may remember.
const MARKS_MAX: usize = 6;

impl Slot {
    fn parse(text: &str) -> Self {
        let (name, argument) = text.split_once(':').unwrap_or((text, ""));
        let count = || argument.parse().unwrap_or_else(|_| panic!("slot `{text}` needs a number"));
        match name {
            "uuid" => Self::Uuid,
            "time" => Self::Time,
            "java" => Self::JavaDate(argument.parse().unwrap_or(0), " "),
            // What Java writes since its locale data changed: a narrow no-break space.
            "java202f" => Self::JavaDate(0, "\u{202f}"),
            "millis" => Self::Millis,
            "account" => Self::Account,
            "region" => Self::Region,
            "who" => Self::Who(Class::parse(argument)),
            "ip" => Self::Ip,
            "agent" => Self::Agent,
            "hex" => Self::Text(Alphabet::Hex, count(), false),
            "HEX" => Self::Text(Alphabet::Hex, count(), true),
            "base32" => Self::Text(Alphabet::Base32, count(), false),
            "alnum" => Self::Text(Alphabet::Alphanumeric, count(), false),
            "base64" => Self::Text(Alphabet::Base64, count(), false),
            "number" => {
                let (from, to) = argument.split_once('-').expect("a number slot has bounds");
                Self::Number(from.parse().expect("a lower bound"), to.parse().expect("an upper bound"))
            }
            "pick" => Self::Pick(argument.split('|').map(str::to_owned).collect()),
            "object" => Self::Object,
            _ => Self::Pool(Pool::parse(name)),
        }
    }

    fn render(&self, scene: &Scene<'_>, random: &mut Random, out: &mut Vec<u8>) {
        match self {
            Self::Uuid => random.uuid(out),
            Self::Time => time::push_iso(scene.time, out),
            Self::JavaDate(minutes, space) => time::push_java(scene.time + minutes * 60, space, out),
            Self::Millis => time::push_number(scene.time.unsigned_abs() * 1000, out),
            Self::Account => out.extend_from_slice(scene.account.id.as_bytes()),
            Self::Region => out.extend_from_slice(scene.region.as_bytes()),
            Self::Text(alphabet, count, upper) => {
                let from = out.len();
                random.text(*alphabet, *count, out);
                if *upper {
                    out[from..].make_ascii_uppercase();
                }
            }
            Self::Number(from, to) => time::push_number(random.between(*from, *to), out),
            Self::Pick(choices) => out.extend_from_slice(random.pick(choices).as_bytes()),
            Self::Pool(pool) => out.extend_from_slice(scene.account.pool(*pool, random).as_bytes()),
            Self::Object => {
                out.extend_from_slice(scene.account.pool(Pool::Folder, random).as_bytes());
                out.extend_from_slice(b"/part-");
                time::push_number(random.between(10_000, 10_400), out);
                out.push(b'-');
                random.text(Alphabet::Hex, 12, out);
                out.extend_from_slice(b".snappy.parquet");
            }
            Self::Who(_) | Self::Ip | Self::Agent | Self::Again(_) => {
                unreachable!("Template::render writes the slots that need its own state")
            }
        }
    }
}
