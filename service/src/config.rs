//! Loading a configuration file: every problem at once, each with its file, line, key and what to do about it.
//!
//! It owns reading, locating and wording; what a value must be is owned by the module that uses it, in its
//! [`Check`]. Values are plain: nothing is interpolated, and secrets are named by `…_file` keys.
//!
//! How all problems are found in one go: serde stops at the first error, so the key at fault is noted, taken out
//! of the parsed table, and the rest is tried again, until nothing is left to complain about. Then the checks run.

mod explain;
mod locate;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, Deserializer};

use self::explain::Fault;
use self::locate::{KeyPath, Lines};

/// More problems than anyone reads; a bound on the work for a file that is no configuration at all.
const PROBLEMS_MAX: usize = 100;

/// Larger than any real configuration; a wrong path should not be read into memory.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What a configuration promises beyond its types.
pub trait Check {
    /// Pushes everything that is wrong, also what is missing: required keys are best modelled as `Option` or with
    /// a default and asked for here, so that they are reported beside everything else.
    fn check(&self, problems: &mut Problems);

    /// Names of keys that serde cannot list because they sit in a `#[serde(flatten)]` part or beside one. Only used
    /// to suggest the right spelling of an unknown key.
    fn flattened_keys() -> Vec<&'static str>
    where
        Self: Sized,
    {
        Vec::new()
    }
}

/// Collects what is wrong with a configuration.
#[derive(Debug, Default)]
pub struct Problems {
    prefix: String,
    found: Vec<(String, String)>,
}

impl Problems {
    /// Reports `key`, such as `sources[0].location`, relative to the enclosing [`Problems::within`]. The message
    /// says what is wrong and what to do.
    pub fn push(&mut self, key: impl Into<String>, message: impl Into<String>) {
        let key = join(&self.prefix, &key.into());
        self.found.push((key, message.into()));
    }

    /// Lets a module check its own part, which stands under `prefix`, such as `health` or `sources[2]`.
    pub fn within(&mut self, prefix: impl AsRef<str>, check: impl FnOnce(&mut Self)) {
        let inner = join(&self.prefix, prefix.as_ref());
        let outer = std::mem::replace(&mut self.prefix, inner);
        check(self);
        self.prefix = outer;
    }

    /// Whether nothing was reported so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

fn join(prefix: &str, key: &str) -> String {
    match (prefix, key) {
        ("", key) => key.to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, key) => format!("{prefix}.{key}"),
    }
}

/// One thing to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file it is in.
    pub file: PathBuf,
    /// The line, from 1; 0 when the file could not be read at all.
    pub line: usize,
    /// The key, such as `sources[0].location`; empty when it concerns the whole file.
    pub key: String,
    /// What is wrong, and what to do about it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}", self.message)
    }
}

/// A configuration that cannot be used. `Display` gives one problem a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Invalid {
    /// All problems, in the order of their lines. Never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// Reads, parses and checks the file at `path`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load<T: DeserializeOwned + Check>(path: &Path) -> Result<T, Invalid> {
    let unreadable = |message: String| Invalid {
        problems: vec![Problem { file: path.to_owned(), line: 0, key: String::new(), message }],
    };
    let meta = std::fs::metadata(path).map_err(|error| unreadable(format!("cannot be read: {error}")))?;
    if !meta.is_file() {
        return Err(unreadable("is not a file; name a TOML file".to_owned()));
    }
    if meta.len() > FILE_BYTES_MAX {
        return Err(unreadable(format!("is larger than {FILE_BYTES_MAX} bytes, so it is no configuration file")));
    }
    let bytes = std::fs::read(path).map_err(|error| unreadable(format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable("is not UTF-8 text".to_owned()))?;
    parse(path, &text)
}

/// Parses and checks `text`, which came from `path` (only used to name the file).
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse<T: DeserializeOwned + Check>(path: &Path, text: &str) -> Result<T, Invalid> {
    let lines = Lines::of(text);
    let original = DeTable::parse(text).map_err(|error| Invalid {
        problems: vec![Problem {
            file: path.to_owned(),
            line: lines.line(error.span().map_or(0, |span| span.start)),
            key: String::new(),
            message: format!("not valid TOML: {}", error.message()),
        }],
    })?;
    let mut reader = Reader { original, problems: Vec::new(), removed: Vec::new(), suggested: BTreeSet::new() };
    let value = reader.read::<T>();
    let mut problems = std::mem::take(&mut reader.problems);
    if let Some((value, working)) = &value {
        let mut checked = Problems::default();
        value.check(&mut checked);
        for (key, message) in checked.found.into_iter().take(PROBLEMS_MAX) {
            let key = locate::in_original(&key, working.get_ref(), reader.original.get_ref());
            if !reader.is_echo(&key) {
                problems.push((locate::line_start(&key, reader.original.get_ref()), key, message));
            }
        }
    }
    if let (Some((value, _)), true) = (value, problems.is_empty()) {
        return Ok(value);
    }
    let mut problems: Vec<Problem> = problems
        .into_iter()
        .map(|(at, key, message)| Problem {
            file: path.to_owned(),
            line: lines.line(at),
            key: key.to_string(),
            message,
        })
        .collect();
    problems.sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
    problems.dedup();
    Err(Invalid { problems })
}

/// Deserializes again and again, each time without the keys already found at fault.
struct Reader<'i> {
    original: Spanned<DeTable<'i>>,
    /// Byte offset, key, message.
    problems: Vec<(usize, KeyPath, String)>,
    removed: Vec<KeyPath>,
    /// Keys that an unknown key was probably meant to be: that they are missing is no second problem.
    suggested: BTreeSet<KeyPath>,
}

impl<'i> Reader<'i> {
    /// The value, and the table it was read from. `None` when no way was found to read one.
    fn read<T: DeserializeOwned + Check>(&mut self) -> Option<(T, Spanned<DeTable<'i>>)> {
        let mut working = self.original.clone();
        loop {
            let error = match attempt::<T>(&working) {
                Ok(value) => return Some((value, working)),
                Err(error) => error,
            };
            let fault = Fault::new(error.message(), &T::flattened_keys());
            let culprit = culprit::<T>(&working, &error, &fault);
            self.note(&working, &culprit, fault);
            if self.problems.len() >= PROBLEMS_MAX || !locate::remove(working.get_mut(), &culprit) {
                return None;
            }
        }
    }

    fn note(&mut self, working: &Spanned<DeTable<'i>>, culprit: &KeyPath, fault: Fault) {
        let culprit = locate::in_original(&culprit.to_string(), working.get_ref(), self.original.get_ref());
        let at = locate::line_start(&culprit, self.original.get_ref());
        if let Some(name) = &fault.suggestion {
            self.suggested.insert(culprit.parent().child(name));
        }
        let key = fault.missing.as_deref().map_or_else(|| culprit.clone(), |name| culprit.child(name));
        // A required key that was taken out for its own fault, or is spelt wrong, is no second problem.
        let is_echo = fault.missing.is_some() && self.is_echo(&key);
        self.removed.push(culprit);
        if !is_echo {
            self.problems.push((at, key, fault.message));
        }
    }

    fn is_echo(&self, key: &KeyPath) -> bool {
        self.suggested.contains(key) || self.removed.iter().any(|path| path.covers(key))
    }
}

fn attempt<T: DeserializeOwned>(table: &Spanned<DeTable<'_>>) -> Result<T, toml::de::Error> {
    T::deserialize(Deserializer::from(table.clone()))
}

/// The key to take out: the one whose span the error names; for an error out of a flattened part, whose span is
/// only that of the table around it, the one whose absence changes the outcome.
fn culprit<T: DeserializeOwned>(table: &Spanned<DeTable<'_>>, error: &toml::de::Error, fault: &Fault) -> KeyPath {
    let found = locate::by_span(table.get_ref(), error.span().unwrap_or(0..0), error.message());
    if fault.missing.is_some() {
        return found;
    }
    if let Some(name) = &fault.unknown {
        return if found.ends_with(name) { found } else { found.child(name) };
    }
    let children = locate::children(table.get_ref(), &found);
    let at_fault = children.into_iter().find(|child| {
        let mut without = table.clone();
        locate::remove(without.get_mut(), child)
            && attempt::<T>(&without).err().is_none_or(|other| other.message() != error.message())
    });
    at_fault.unwrap_or(found)
}

#[cfg(test)]
mod tests;
