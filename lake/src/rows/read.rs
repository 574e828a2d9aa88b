//! Reading a record's members into a row, and noting where in its text they stand.
//!
//! Owns what each form of value is read from. A value of another type than its column's stays in the template alone.

use std::borrow::Cow;

use orgtrail_event::record::{Nested, Text, Value, time_seconds};

use super::cell::Cell;
use super::leaf::{Form, Leaf};
use super::mapping::{Children, Node};
use super::restore::write_time;
use super::template::{Template, escape};

/// How deep a member lies in lists.
#[derive(Clone, Copy)]
enum Place {
    Above,
    Element(usize),
    /// In a list of a list, where templates have no holes.
    Deeper,
}

/// Reads one record.
pub(crate) struct Reader<'r, 't> {
    pub(crate) raw: &'r [u8],
    pub(crate) leaves: &'t [Leaf],
    pub(crate) template: &'t mut Template,
}

impl<'r> Reader<'r, '_> {
    /// The record's row.
    pub(crate) fn row(&mut self, root: &Children) -> Cell<'r> {
        let mut row = Cell::Struct(Vec::new());
        self.members(root, Nested::record(self.raw), &mut row, 0, Place::Above);
        row
    }

    /// Reads an object's members into `into`, which lies at a depth of `base` indices.
    fn members(&mut self, children: &Children, object: Nested<'r>, into: &mut Cell<'r>, base: usize, place: Place) {
        for (name, value) in object.members() {
            let node = match name.plain() {
                Some(name) => children.find(name),
                None => name.decode().and_then(|name| children.find(name.as_bytes())),
            };
            match node {
                None => {}
                Some(Node::Object(children)) => self.members(children, Nested::of(value), into, base, place),
                Some(Node::Value(targets)) => self.value(targets, value, into, base, place),
                Some(Node::List { indices, children }) => {
                    let list = self.list(children, Nested::of(value), indices.len(), place);
                    let before = into.set(&indices[base..], list);
                    self.only_once(&before);
                }
            }
        }
    }

    fn list(&mut self, children: &Children, array: Nested<'r>, base: usize, place: Place) -> Cell<'r> {
        if array.raw().is_none() {
            return Cell::Null;
        }
        let mut elements = Vec::new();
        for (index, object) in array.elements().enumerate() {
            let mut element = Cell::Struct(Vec::new());
            let place = if matches!(place, Place::Above) { Place::Element(index) } else { Place::Deeper };
            self.members(children, object, &mut element, base, place);
            elements.push(element);
        }
        Cell::List(elements)
    }

    fn value(&mut self, targets: &[usize], value: Value<'r>, into: &mut Cell<'r>, base: usize, place: Place) {
        for (nth, &target) in targets.iter().enumerate() {
            let leaf = &self.leaves[target];
            let Some((cell, span)) = self.read(leaf.form, value) else { continue };
            let before = into.set(&leaf.indices[base..], cell);
            self.only_once(&before);
            if nth > 0 {
                continue;
            }
            if let Some((start, end)) = span {
                match place {
                    Place::Above => self.template.hole(start, end, target, None),
                    Place::Element(index) => self.template.hole(start, end, target, Some(index)),
                    Place::Deeper => {}
                }
            }
        }
    }

    /// Of a member that stands twice the last counts; its text can't be told from the first's any more.
    fn only_once(&mut self, before: &Cell<'_>) {
        if !matches!(before, Cell::Null) {
            self.template.verbatim();
        }
    }

    /// A value in its column's form, and where the text lies that it stands for; no span where the text isn't the usual
    /// way to write it.
    fn read(&self, form: Form, value: Value<'r>) -> Option<(Cell<'r>, Option<(usize, usize)>)> {
        match (form, value) {
            (_, Value::Null) => None,
            (Form::Text, Value::Text(text)) => self.text(text),
            (Form::Text, Value::Other([b'{' | b'[', ..])) => None,
            (Form::Text | Form::Json, Value::Other(json)) => {
                Some((Cell::Text(Cow::Borrowed(std::str::from_utf8(json).ok()?)), Some(self.span(json, 0))))
            }
            (Form::Text | Form::Json, Value::True) => Some((Cell::Text(Cow::Borrowed("true")), None)),
            (Form::Text | Form::Json, Value::False) => Some((Cell::Text(Cow::Borrowed("false")), None)),
            (Form::Json, Value::Text(text)) => {
                let (start, end) = self.span(text.raw(), 1);
                let json = std::str::from_utf8(&self.raw[start..end]).ok()?;
                Some((Cell::Text(Cow::Borrowed(json)), Some((start, end))))
            }
            (Form::Time, Value::Text(text)) => self.time(text),
            (Form::Bool, Value::True) => Some((Cell::Bool(true), None)),
            (Form::Bool, Value::False) => Some((Cell::Bool(false), None)),
            (Form::Bool, Value::Text(text)) if text.is("true") => Some((Cell::Bool(true), None)),
            (Form::Bool, Value::Text(text)) if text.is("false") => Some((Cell::Bool(false), None)),
            (Form::Int, Value::Other(json)) => Some((Cell::Int(number(json)?), None)),
            (Form::Double, Value::Other(json)) => Some((Cell::Double(number(json)?), None)),
            _ => None,
        }
    }

    fn text(&self, text: Text<'r>) -> Option<(Cell<'r>, Option<(usize, usize)>)> {
        let value = text.decode()?;
        let is_usual = text.plain().is_some() || {
            let mut escaped = Vec::with_capacity(text.raw().len());
            escape(&value, &mut escaped);
            escaped == text.raw()
        };
        Some((Cell::Text(value), is_usual.then(|| self.span(text.raw(), 0))))
    }

    fn time(&self, text: Text<'r>) -> Option<(Cell<'r>, Option<(usize, usize)>)> {
        let seconds = time_seconds(&text.decode()?)?;
        let mut usual = Vec::with_capacity(20);
        write_time(seconds, &mut usual);
        Some((Cell::Time(seconds), (usual == text.raw()).then(|| self.span(text.raw(), 0))))
    }

    /// Where a part of the record lies in it, with `around` bytes more on both sides.
    fn span(&self, part: &[u8], around: usize) -> (usize, usize) {
        let start = part.as_ptr() as usize - self.raw.as_ptr() as usize;
        (start - around, start + part.len() + around)
    }
}

fn number<N: std::str::FromStr>(json: &[u8]) -> Option<N> {
    std::str::from_utf8(json).ok()?.parse().ok()
}
