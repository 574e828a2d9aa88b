//! Builders of columns, which take cells.
//!
//! Owns the shape of Arrow arrays. A struct is null where all of it is.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Float64Builder, Int32Builder, ListArray, StringBuilder, StructArray,
    TimestampMicrosecondBuilder,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, FieldRef, Fields};

use super::cell::Cell;

/// One column in the making.
#[derive(Debug)]
pub(crate) enum Column {
    Text(StringBuilder),
    Time(TimestampMicrosecondBuilder),
    Bool(BooleanBuilder),
    Int(Int32Builder),
    Double(Float64Builder),
    Day(Date32Builder),
    Struct { fields: Fields, members: Vec<Column>, validity: Vec<bool> },
    List { element: FieldRef, elements: Box<Column>, lengths: Vec<usize>, validity: Vec<bool> },
}

impl Column {
    /// An empty column of one of the types that [`crate::schema`] uses.
    pub(crate) fn new(data_type: &DataType) -> Self {
        match data_type {
            DataType::Timestamp(..) => Self::Time(TimestampMicrosecondBuilder::new().with_data_type(data_type.clone())),
            DataType::Boolean => Self::Bool(BooleanBuilder::new()),
            DataType::Int32 => Self::Int(Int32Builder::new()),
            DataType::Float64 => Self::Double(Float64Builder::new()),
            DataType::Date32 => Self::Day(Date32Builder::new()),
            DataType::Struct(fields) => Self::Struct {
                fields: fields.clone(),
                members: fields.iter().map(|field| Self::new(field.data_type())).collect(),
                validity: Vec::new(),
            },
            DataType::List(element) => Self::List {
                element: Arc::clone(element),
                elements: Box::new(Self::new(element.data_type())),
                lengths: Vec::new(),
                validity: Vec::new(),
            },
            _ => Self::Text(StringBuilder::new()),
        }
    }

    /// Adds a value; one of another shape than the column's is null. Tells whether it was not.
    pub(crate) fn append(&mut self, cell: &Cell<'_>) -> bool {
        match (&mut *self, cell) {
            (Self::Text(column), Cell::Text(text)) => column.append_value(text),
            (Self::Time(column), Cell::Time(seconds)) => column.append_value(seconds.saturating_mul(1_000_000)),
            (Self::Bool(column), Cell::Bool(value)) => column.append_value(*value),
            (Self::Int(column), Cell::Int(value)) => column.append_value(*value),
            (Self::Double(column), Cell::Double(value)) => column.append_value(*value),
            (Self::Day(column), Cell::Int(day)) => column.append_value(*day),
            (Self::Struct { members, validity, .. }, Cell::Struct(cells)) => {
                let cells = cells.iter().chain(std::iter::repeat(&Cell::Null));
                let any = members.iter_mut().zip(cells).fold(false, |any, (member, cell)| member.append(cell) || any);
                validity.push(any);
                return any;
            }
            (Self::List { elements, lengths, validity, .. }, Cell::List(cells)) => {
                for cell in cells {
                    elements.append(cell);
                }
                lengths.push(cells.len());
                validity.push(true);
            }
            _ => {
                self.append_null();
                return false;
            }
        }
        true
    }

    fn append_null(&mut self) {
        match self {
            Self::Text(column) => column.append_null(),
            Self::Time(column) => column.append_null(),
            Self::Bool(column) => column.append_null(),
            Self::Int(column) => column.append_null(),
            Self::Double(column) => column.append_null(),
            Self::Day(column) => column.append_null(),
            Self::Struct { members, validity, .. } => {
                members.iter_mut().for_each(Self::append_null);
                validity.push(false);
            }
            Self::List { lengths, validity, .. } => {
                lengths.push(0);
                validity.push(false);
            }
        }
    }

    /// The column so far; it is empty afterwards.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(column) => Arc::new(column.finish()),
            Self::Time(column) => Arc::new(column.finish()),
            Self::Bool(column) => Arc::new(column.finish()),
            Self::Int(column) => Arc::new(column.finish()),
            Self::Double(column) => Arc::new(column.finish()),
            Self::Day(column) => Arc::new(column.finish()),
            Self::Struct { fields, members, validity } => {
                let arrays = members.iter_mut().map(Self::finish).collect();
                let nulls = NullBuffer::from(std::mem::take(validity));
                Arc::new(StructArray::new(fields.clone(), arrays, Some(nulls)))
            }
            Self::List { element, elements, lengths, validity } => {
                let offsets = OffsetBuffer::from_lengths(std::mem::take(lengths));
                let nulls = NullBuffer::from(std::mem::take(validity));
                Arc::new(ListArray::new(Arc::clone(element), offsets, elements.finish(), Some(nulls)))
            }
        }
    }
}
