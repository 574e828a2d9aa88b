//! Where a key stands: paths such as `sources[0].location`, the spans of a parsed table, and line numbers.
//!
//! It owns finding and removing; it knows nothing about what is wrong.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// One step into a table or a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Index(usize),
}

/// The way from the top of the file to a value; empty for the file itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyPath(Vec<Step>);

impl KeyPath {
    /// Reads `a.b[0]."c.d"`. Lenient: what is not an index is part of a name.
    fn parse(text: &str) -> Self {
        let mut steps = Vec::new();
        let mut name = String::new();
        let mut quoted = false;
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => quoted = !quoted,
                '.' if !quoted => flush(&mut name, &mut steps),
                '[' if !quoted => {
                    flush(&mut name, &mut steps);
                    let inner: String = chars.by_ref().take_while(|c| *c != ']').collect();
                    match inner.parse() {
                        Ok(index) => steps.push(Step::Index(index)),
                        Err(_) => steps.push(Step::Key(inner)),
                    }
                }
                c => name.push(c),
            }
        }
        flush(&mut name, &mut steps);
        Self(steps)
    }

    pub(super) fn child(&self, name: &str) -> Self {
        self.with(Step::Key(name.to_owned()))
    }

    pub(super) fn parent(&self) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }

    pub(super) fn ends_with(&self, name: &str) -> bool {
        matches!(self.0.last(), Some(Step::Key(last)) if last == name)
    }

    /// Whether `other` is this value or lies inside it.
    pub(super) fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

fn flush(name: &mut String, steps: &mut Vec<Step>) {
    if !name.is_empty() {
        steps.push(Step::Key(std::mem::take(name)));
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(name) => {
                    let dot = if position > 0 { "." } else { "" };
                    let is_bare = name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
                    let quote = if is_bare { "" } else { "\"" };
                    write!(f, "{dot}{quote}{name}{quote}")?;
                }
            }
        }
        Ok(())
    }
}

/// Turns byte offsets into line numbers.
pub(super) struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { starts: std::iter::once(0).chain(ends).collect() }
    }

    /// The line that holds byte `at`, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at)
    }
}

/// The deepest key or value that has exactly this span, else the deepest one around it, else the file.
///
/// A `[[header]]` is the span of both the list and its first element; only an error about the list as such
/// ("found a list") means the list.
pub(super) fn by_span(table: &DeTable<'_>, span: Range<usize>, message: &str) -> KeyPath {
    let about_list = message.starts_with("invalid type: sequence");
    let mut exact = None;
    let mut around = None;
    walk(table, &KeyPath::default(), &mut |path, key, value| {
        if key == Some(&span) || *value == span {
            let keep_outer = about_list && exact.is_some();
            if !keep_outer {
                exact = Some(path.clone());
            }
        } else if value.start <= span.start && span.end <= value.end && !span.is_empty() {
            around = Some(path.clone());
        }
    });
    exact.or(around).unwrap_or_default()
}

/// Visits every value, outer before inner, with its path, the span of its key (if it has one) and its own span.
fn walk(table: &DeTable<'_>, path: &KeyPath, visit: &mut impl FnMut(&KeyPath, Option<&Range<usize>>, &Range<usize>)) {
    for (key, value) in table {
        let path = path.child(key.get_ref());
        visit(&path, Some(&key.span()), &value.span());
        walk_value(value, &path, visit);
    }
}

fn walk_value(
    value: &Spanned<DeValue<'_>>,
    path: &KeyPath,
    visit: &mut impl FnMut(&KeyPath, Option<&Range<usize>>, &Range<usize>),
) {
    match value.get_ref() {
        DeValue::Table(table) => walk(table, path, visit),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = path.with(Step::Index(index));
                visit(&path, None, &item.span());
                walk_value(item, &path, visit);
            }
        }
        _ => {}
    }
}

/// The keys directly inside the table at `path`; none if there is no table.
pub(super) fn children(table: &DeTable<'_>, path: &KeyPath) -> Vec<KeyPath> {
    let inner = if path.0.is_empty() { Some(table) } else { value_at(table, path).and_then(DeValue::as_table) };
    inner.map(|inner| inner.keys().map(|key| path.child(key.get_ref())).collect()).unwrap_or_default()
}

fn value_at<'t, 'i>(table: &'t DeTable<'i>, path: &KeyPath) -> Option<&'t DeValue<'i>> {
    let (first, rest) = path.0.split_first()?;
    let Step::Key(name) = first else { return None };
    rest.iter().try_fold(table.get(name.as_str())?.get_ref(), |value, step| match step {
        Step::Key(name) => Some(value.as_table()?.get(name.as_str())?.get_ref()),
        Step::Index(index) => Some(value.as_array()?.get(*index)?.get_ref()),
    })
}

/// Takes the value at `path` out; tells whether there was one. The file itself cannot be taken out.
pub(super) fn remove(table: &mut DeTable<'_>, path: &KeyPath) -> bool {
    let Some((Step::Key(name), rest)) = path.0.split_first() else { return false };
    if rest.is_empty() {
        return table.remove(name.as_str()).is_some();
    }
    table.get_mut(name.as_str()).is_some_and(|value| remove_in(value.get_mut(), rest))
}

fn remove_in(value: &mut DeValue<'_>, steps: &[Step]) -> bool {
    match (steps, value) {
        ([Step::Key(name)], DeValue::Table(table)) => table.remove(name.as_str()).is_some(),
        ([Step::Index(index)], DeValue::Array(items)) if *index < items.len() => {
            let kept = std::mem::replace(items, DeArray::new()).into_iter().enumerate().filter(|(at, _)| at != index);
            *items = kept.map(|(_, item)| item).collect();
            true
        }
        ([Step::Key(name), rest @ ..], DeValue::Table(table)) => {
            table.get_mut(name.as_str()).is_some_and(|inner| remove_in(inner.get_mut(), rest))
        }
        ([Step::Index(index), rest @ ..], DeValue::Array(items)) => {
            items.get_mut(*index).is_some_and(|inner| remove_in(inner.get_mut(), rest))
        }
        _ => false,
    }
}

/// The path of `key`, which was found in `working` (where list elements may have been taken out), as it stands in
/// `original`. Elements are recognised by their span.
pub(super) fn in_original(key: &str, working: &DeTable<'_>, original: &DeTable<'_>) -> KeyPath {
    let mut path = KeyPath::parse(key);
    for depth in 1..path.0.len() {
        let Step::Index(index) = path.0[depth] else { continue };
        let list = KeyPath(path.0[..depth].to_vec());
        // The part before this step is already as in the original, so the working list is found by its span.
        let Some(before) = value_at(original, &list).and_then(DeValue::as_array) else { break };
        let Some(now) = list_of(working, before.iter().map(Spanned::span)) else { continue };
        let Some(element) = now.get(index) else { continue };
        if let Some(position) = before.iter().position(|item| item.span() == *element) {
            path.0[depth] = Step::Index(position);
        }
    }
    path
}

/// The spans of the elements of the list in `table` whose elements are among `spans`; `None` if none is left.
fn list_of(table: &DeTable<'_>, spans: impl Iterator<Item = Range<usize>>) -> Option<Vec<Range<usize>>> {
    let wanted: Vec<_> = spans.collect();
    let mut found = Vec::new();
    walk(table, &KeyPath::default(), &mut |_, key, value| {
        if key.is_none() && wanted.contains(value) {
            found.push(value.clone());
        }
    });
    (!found.is_empty()).then_some(found)
}

/// The byte at which `path` stands; for a key that is not there, its table, else the first line.
pub(super) fn line_start(path: &KeyPath, table: &DeTable<'_>) -> usize {
    let mut at = 0;
    let mut depth = 0;
    walk(table, &KeyPath::default(), &mut |here, key, value| {
        if here.0.len() > depth && here.covers(path) {
            depth = here.0.len();
            at = key.unwrap_or(value).start;
        }
    });
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_as_they_are_read() {
        for text in ["a", "a.b", "sources[0].location", "a[1][2].b", "a.\"b.c\".d", ""] {
            assert_eq!(KeyPath::parse(text).to_string(), text);
        }
    }

    #[test]
    fn lines_count_from_one() {
        let lines = Lines::of("a\nbb\n\nc");
        let found: Vec<_> = (0..7).map(|at| lines.line(at)).collect();
        assert_eq!(found, [1, 1, 2, 2, 2, 3, 4]);
    }

    #[test]
    fn a_missing_key_stands_at_its_table() {
        let text = "x = 1\n[a]\ny = 2\n[[b]]\n[[b]]\nz = 1\n";
        let table = DeTable::parse(text).unwrap();
        let line = |key| Lines::of(text).line(line_start(&KeyPath::parse(key), table.get_ref()));
        assert_eq!(line("nowhere"), 1);
        assert_eq!(line("a.nowhere"), 2);
        assert_eq!(line("a.y"), 3);
        assert_eq!(line("b[0].z"), 4);
        assert_eq!(line("b[1].nowhere"), 5);
        assert_eq!(line("b[1].z"), 6);
    }
}
