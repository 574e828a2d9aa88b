//! A row while it is read: a tree of values, shaped like the columns.
//!
//! Owns setting and getting a value by its place. Short on purpose: cells borrow from the record.

use std::borrow::Cow;

/// A value, or several.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Cell<'a> {
    /// Nothing there.
    #[default]
    Null,
    /// Text, or JSON as text.
    Text(Cow<'a, str>),
    /// Seconds since the Unix epoch.
    Time(i64),
    Bool(bool),
    Int(i32),
    Double(f64),
    /// Members by index; those behind the last are null.
    Struct(Vec<Cell<'a>>),
    List(Vec<Cell<'a>>),
}

impl<'a> Cell<'a> {
    /// Puts `value` to the place that `indices` lead to. Gives what stood there.
    pub(crate) fn set(&mut self, indices: &[usize], value: Self) -> Self {
        let Some((&index, rest)) = indices.split_first() else { return std::mem::replace(self, value) };
        if !matches!(self, Self::Struct(_)) {
            *self = Self::Struct(Vec::new());
        }
        let Self::Struct(members) = self else { return Self::Null };
        if members.len() <= index {
            members.resize(index + 1, Self::Null);
        }
        members[index].set(rest, value)
    }

    /// The value that `indices` lead to, through `element` of the list on the way.
    pub(crate) fn get(&self, indices: &[usize], element: Option<usize>) -> Option<&Self> {
        match self {
            Self::List(elements) => elements.get(element?)?.get(indices, None),
            Self::Struct(members) => {
                let (&index, rest) = indices.split_first()?;
                members.get(index)?.get(rest, element)
            }
            value => indices.is_empty().then_some(value),
        }
    }
}
