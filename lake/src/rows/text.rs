//! `eventjson` of stored rows: records' texts out of the columns of a batch.
//!
//! Owns finding each leaf's array. The columns are those of [`crate::schema::columns`], of any string type.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, GenericListArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::error::ArrowError;

use super::leaf::{Leaf, leaves};
use super::restore::{Filling, write_text};
use crate::kind::Kind;

/// The texts of rows. `columns` are the kind's columns without our own, `template` that of [`crate::schema::EVENT_TEMPLATE`].
pub(crate) fn event_json(kind: Kind, columns: &[ArrayRef], template: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let leaves = leaves(kind);
    let arrays = leaves.iter().map(|leaf| LeafArray::of(columns, leaf)).collect::<Result<Vec<_>, _>>()?;
    let templates = cast(template, &DataType::Utf8)?;
    let mut texts = StringBuilder::new();
    let mut text = Vec::new();
    for (row, template) in templates.as_string::<i32>().iter().enumerate() {
        text.clear();
        let restored = template.is_some_and(|template| {
            write_text(template, &leaves, &mut text, |leaf, element| arrays[leaf].value(row, element))
        });
        match std::str::from_utf8(&text) {
            Ok(text) if restored => texts.append_value(text),
            _ => texts.append_null(),
        }
    }
    Ok(Arc::new(texts.finish()))
}

/// Where a leaf's values are.
enum LeafArray {
    Text(ArrayRef),
    Time(ArrayRef),
    Elements {
        list: GenericListArray<i32>,
        texts: ArrayRef,
    },
    /// A form that no template has a hole for.
    None,
}

impl LeafArray {
    fn of(columns: &[ArrayRef], leaf: &Leaf) -> Result<Self, ArrowError> {
        let missing = || ArrowError::SchemaError(format!("no column {}", leaf.path.join(".")));
        let mut array = Arc::clone(columns.get(leaf.indices[0]).ok_or_else(missing)?);
        let mut list = None;
        for &index in &leaf.indices[1..] {
            if let Some(elements) = array.as_list_opt::<i32>() {
                let elements = elements.clone();
                array = Arc::clone(elements.values());
                list = Some(elements);
            }
            array = Arc::clone(array.as_struct_opt().ok_or_else(missing)?.columns().get(index).ok_or_else(missing)?);
        }
        Ok(match (array.data_type(), list) {
            (_, Some(_)) if leaf.lists > 1 => Self::None,
            (DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8, list) => {
                let texts = cast(&array, &DataType::Utf8)?;
                match list {
                    None => Self::Text(texts),
                    Some(list) => Self::Elements { list, texts },
                }
            }
            (DataType::Timestamp(..), None) => Self::Time(array),
            _ => Self::None,
        })
    }

    fn value(&self, row: usize, element: Option<usize>) -> Option<Filling<'_>> {
        match self {
            Self::Text(texts) => texts.is_valid(row).then(|| Filling::Text(texts.as_string::<i32>().value(row))),
            Self::Time(times) => {
                let micros = times.as_primitive_opt::<TimestampMicrosecondType>()?;
                micros.is_valid(row).then(|| Filling::Seconds(micros.value(row).div_euclid(1_000_000)))
            }
            Self::Elements { list, texts } => {
                let at = usize::try_from(list.value_offsets()[row]).ok()? + element?;
                let is_there = at < usize::try_from(list.value_offsets()[row + 1]).ok()? && texts.is_valid(at);
                is_there.then(|| Filling::Text(texts.as_string::<i32>().value(at)))
            }
            Self::None => None,
        }
    }
}
