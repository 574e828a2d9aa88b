//! The leaves of a kind's columns: every place that holds one value, numbered in the order of the schema.
//!
//! Owns the numbering, which templates and restoring share, and what text a leaf stands for. Numbers may never change for
//! columns that are there: stored templates name them. New columns therefore come last, before those of our own.

use arrow::datatypes::{DataType, Field, Fields};

use crate::kind::Kind;
use crate::schema;

/// How a value stands in a record, and so how it is read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A string; a number in its place is taken by its digits.
    Text,
    /// Any value but null, as its JSON text.
    Json,
    /// A string with a time.
    Time,
    /// A boolean, or the string `"true"` or `"false"`.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Double,
}

/// One place that holds a value.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    /// Its names, from the column down. A list adds no name.
    pub(crate) path: Vec<String>,
    /// The index at each level.
    pub(crate) indices: Vec<usize>,
    pub(crate) form: Form,
    /// How many lists lie above it.
    pub(crate) lists: usize,
}

/// Members whose values are kept as JSON text, wherever they stand.
const JSON: [&str; 15] = [
    "requestparameters",
    "responseelements",
    "additionaleventdata",
    "serviceeventdetails",
    "edgedevicedetails",
    "insightdetails",
    "addendum",
    "eventcontext",
    "configuration",
    "supplementaryconfiguration",
    "relatedevents",
    "tags",
    "details",
    "attributes",
    "annotation",
];

/// The leaves of a kind, without the columns of our own.
pub(crate) fn leaves(kind: Kind) -> Vec<Leaf> {
    let mut found = Vec::new();
    for (index, column) in schema::columns(kind).iter().enumerate() {
        let own = [schema::SOURCE_OBJECT, schema::EVENT_TEMPLATE, schema::EVENT_DAY];
        if !own.contains(&column.field.name().as_str()) {
            let at = Leaf { path: Vec::new(), indices: Vec::new(), form: Form::Text, lists: 0 };
            collect(&column.field, index, &at, &mut found);
        }
    }
    found
}

fn collect(field: &Field, index: usize, above: &Leaf, found: &mut Vec<Leaf>) {
    let mut leaf = above.clone();
    leaf.path.push(field.name().clone());
    leaf.indices.push(index);
    let mut data_type = field.data_type();
    while let DataType::List(element) = data_type {
        leaf.lists += 1;
        data_type = element.data_type();
    }
    if let DataType::Struct(fields) = data_type {
        collect_all(fields, &leaf, found);
        return;
    }
    leaf.form = form(field.name(), data_type);
    found.push(leaf);
}

fn collect_all(fields: &Fields, above: &Leaf, found: &mut Vec<Leaf>) {
    for (index, field) in fields.iter().enumerate() {
        collect(field, index, above, found);
    }
}

pub(crate) fn form(name: &str, data_type: &DataType) -> Form {
    match data_type {
        DataType::Timestamp(..) => Form::Time,
        DataType::Boolean => Form::Bool,
        DataType::Int32 => Form::Int,
        DataType::Float64 => Form::Double,
        _ if JSON.contains(&name) => Form::Json,
        _ => Form::Text,
    }
}
