//! Needles in nested columns: row groups are left out by the bloom filters of a struct's or a list's members.
//!
//! Owns which conditions name such members (`useridentity.accesskeyid = '…'`, `any_match(resources, r -> r.arn = '…')`) and
//! leaving row groups out. The Parquet reader does the same for whole columns, and gets what is left: a file's metadata
//! without the row groups that can't hold the needle.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::datasource::listing::FileRange;
use datafusion::logical_expr::{Expr, Operator};
use datafusion::physical_plan::metrics::Count;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::bloom_filter::Sbbf;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

/// What the operators' metrics call row groups that were left out here.
pub(super) const PRUNED: &str = "row_groups_pruned_member_bloom_filter";

/// What a row's members have to be. Leaves go by their path in the file: `useridentity.arn`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Equals { leaf: String, value: String },
    Any(Vec<Condition>),
    All(Vec<Condition>),
}

impl Condition {
    /// What of an expression is known; None if that is nothing.
    fn of(expr: &Expr, lambda: Option<(&str, &str)>) -> Option<Self> {
        match expr {
            Expr::BinaryExpr(binary) => {
                let both = |this: &Expr, other: &Expr| equals(this, other, lambda);
                let sides = || [&binary.left, &binary.right].map(|side| Self::of(side, lambda));
                match binary.op {
                    Operator::Eq => both(&binary.left, &binary.right).or_else(|| both(&binary.right, &binary.left)),
                    Operator::And => Self::all(sides().into_iter().flatten().collect()),
                    Operator::Or => sides().into_iter().collect::<Option<Vec<_>>>().map(Self::Any),
                    _ => None,
                }
            }
            Expr::InList(list) if !list.negated => list
                .list
                .iter()
                .map(|value| equals(&list.expr, value, lambda))
                .collect::<Option<Vec<_>>>()
                .map(Self::Any),
            Expr::HigherOrderFunction(function) if function.name() == "array_any_match" => {
                let [array, Expr::Lambda(of_element)] = function.args.as_slice() else { return None };
                let element = format!("{}.list.element", leaf(array, lambda)?);
                Self::of(&of_element.body, Some((of_element.params.first()?, &element)))
            }
            _ => None,
        }
    }

    fn all(conditions: Vec<Self>) -> Option<Self> {
        (!conditions.is_empty()).then_some(Self::All(conditions))
    }

    fn leaves<'a>(&'a self, leaves: &mut BTreeSet<&'a str>) {
        match self {
            Self::Equals { leaf, .. } => {
                leaves.insert(leaf);
            }
            Self::Any(conditions) | Self::All(conditions) => conditions.iter().for_each(|each| each.leaves(leaves)),
        }
    }

    /// Whether a row group with these filters may hold such a row.
    fn may_hold(&self, filters: &HashMap<&str, Sbbf>) -> bool {
        match self {
            Self::Equals { leaf, value } => {
                filters.get(leaf.as_str()).is_none_or(|filter| filter.check(value.as_str()))
            }
            Self::Any(conditions) => conditions.iter().any(|each| each.may_hold(filters)),
            Self::All(conditions) => conditions.iter().all(|each| each.may_hold(filters)),
        }
    }
}

fn equals(member: &Expr, value: &Expr, lambda: Option<(&str, &str)>) -> Option<Condition> {
    Some(Condition::Equals { leaf: leaf(member, lambda)?, value: text(value)?.to_owned() })
}

fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text), _) => {
            text.as_deref()
        }
        _ => None,
    }
}

/// The path of a column, or of a member of one. A lambda's variable goes by the path of what it stands for.
fn leaf(expr: &Expr, lambda: Option<(&str, &str)>) -> Option<String> {
    match expr {
        Expr::Column(column) => Some(column.name.clone()),
        Expr::LambdaVariable(variable) => {
            lambda.filter(|(name, _)| *name == variable.name).map(|(_, path)| path.to_owned())
        }
        Expr::ScalarFunction(function) if function.name() == "get_field" => {
            let (base, members) = function.args.split_first()?;
            members.iter().try_fold(leaf(base, lambda)?, |path, member| Some(format!("{path}.{}", text(member)?)))
        }
        _ => None,
    }
}

/// What a question says of members of nested columns.
#[derive(Debug)]
pub(super) struct Question(Condition);

impl Question {
    /// None if the filters name no member of a nested column: then the Parquet reader does all there is to do.
    pub(super) fn of(filters: &[Expr]) -> Option<Self> {
        let known = filters.iter().filter_map(|filter| Condition::of(filter, None)).collect();
        let condition = Condition::all(known)?;
        let mut leaves = BTreeSet::new();
        condition.leaves(&mut leaves);
        let is_nested = leaves.iter().any(|leaf| leaf.contains('.'));
        is_nested.then_some(Self(condition))
    }
}

/// Looks for a question's needles in one file.
pub(super) struct Needles {
    pub(super) question: Arc<Question>,
    /// The part of the file that is read here; other parts are read by others.
    pub(super) range: Option<FileRange>,
    /// Row groups that were left out.
    pub(super) pruned: Count,
}

impl Needles {
    /// The file as if it had those row groups alone that may hold the needle.
    pub(super) async fn wanted(
        &self,
        file: &mut (dyn AsyncFileReader + Send),
        metadata: Arc<ParquetMetaData>,
    ) -> ParquetResult<Arc<ParquetMetaData>> {
        let Question(condition) = &*self.question;
        let mut leaves = BTreeSet::new();
        condition.leaves(&mut leaves);
        let mut kept = Vec::new();
        for (index, group) in metadata.row_groups().iter().enumerate() {
            if !self.range.as_ref().is_none_or(|range| range.contains(first_page(group))) {
                continue;
            }
            match condition.may_hold(&filters(file, group, &leaves).await?) {
                true => kept.push(index),
                false => self.pruned.add(1),
            }
        }
        Ok(if kept.len() == metadata.num_row_groups() { metadata } else { Arc::new(only(&metadata, &kept)) })
    }
}

/// The filters that a row group has for these leaves, in one read.
async fn filters<'a>(
    file: &mut (dyn AsyncFileReader + Send),
    group: &RowGroupMetaData,
    leaves: &BTreeSet<&'a str>,
) -> ParquetResult<HashMap<&'a str, Sbbf>> {
    let column = |leaf: &str| group.columns().iter().find(|column| column.column_path().string() == leaf);
    let there = leaves.iter().filter_map(|leaf| Some((*leaf, filter_bytes(column(leaf)?)?)));
    let (names, ranges): (Vec<_>, Vec<_>) = there.unzip();
    if ranges.is_empty() {
        return Ok(HashMap::new());
    }
    let read = file.get_byte_ranges(ranges).await?;
    // What is no filter leaves nothing out.
    let filters = names.into_iter().zip(read).filter_map(|(name, bytes)| Some((name, Sbbf::from_bytes(&bytes).ok()?)));
    Ok(filters.collect())
}

/// By this byte a row group belongs to one part of a file.
fn first_page(group: &RowGroupMetaData) -> i64 {
    let column = group.column(0);
    column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset())
}

/// Where a column's filter lies.
fn filter_bytes(column: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let offset = u64::try_from(column.bloom_filter_offset()?).ok()?;
    let length = u64::try_from(column.bloom_filter_length()?).ok()?;
    Some(offset..offset + length)
}

/// A file's metadata as if it had these row groups alone.
fn only(metadata: &ParquetMetaData, kept: &[usize]) -> ParquetMetaData {
    let groups = kept.iter().map(|index| metadata.row_group(*index).clone()).collect();
    let columns = metadata.column_index().map(|all| kept.iter().map(|index| all[*index].clone()).collect());
    let offsets = metadata.offset_index().map(|all| kept.iter().map(|index| all[*index].clone()).collect());
    let builder = ParquetMetaData::new(metadata.file_metadata().clone(), groups).into_builder();
    builder.set_column_index(columns).set_offset_index(offsets).build()
}
