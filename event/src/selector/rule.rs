//! A selector in the form in which records are tested: alternatives of conditions, nothing allocated on the way.
//!
//! Basic and advanced selectors become the same rules, so there is one evaluation. A condition looks only at the field that
//! it tests, and fields below the record's top level come last.

use std::cmp::Ordering;

use super::field::{Field, Operator};
use super::view::View;

/// What a record must meet, all of it.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// Its key in the configuration, such as `advanced_event_selectors[1]`.
    pub(super) at: String,
    pub(super) name: Option<String>,
    pub(super) tests: Vec<Test>,
}

impl Rule {
    pub(super) fn new(at: String, name: Option<String>, mut tests: Vec<Test>) -> Self {
        tests.sort_by_key(|test| test.field.is_nested());
        Self { at, name, tests }
    }

    /// The first condition that the record doesn't meet, and what of it the record has that it must not have.
    pub(super) fn judge<'r>(&'r self, view: &View<'_, '_>) -> Result<(), Failed<'r>> {
        self.tests.iter().try_for_each(|test| test.judge(view).map(drop))
    }
}

/// A condition that a record doesn't meet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed<'r> {
    pub(super) test: &'r Test,
    /// The value that it must not have and has. None: it has none of those that it must have.
    pub(super) hit: Option<Hit<'r>>,
}

/// An operator and the one of its values that matched.
pub(super) type Hit<'r> = (Operator, &'r str);

/// One field's condition.
#[derive(Clone, Debug)]
pub(super) struct Test {
    pub(super) field: Field,
    /// Only resources of this type are looked at.
    resource_type: Option<Box<str>>,
    /// Any of these must match, if there is one.
    pub(super) select: Vec<Values>,
    /// None of these may match.
    reject: Vec<Values>,
}

impl Test {
    pub(super) fn new<'v>(field: Field, operators: impl IntoIterator<Item = (Operator, &'v [String])>) -> Self {
        let (reject, select) =
            operators.into_iter().map(|(op, values)| Values::new(op, values)).partition(|it| it.operator.rejects());
        Self { field, resource_type: None, select, reject }
    }

    pub(super) fn of_resources(mut self, resource_type: Option<&str>) -> Self {
        self.resource_type = resource_type.map(Into::into);
        self
    }

    /// What matched, if anything had to.
    pub(super) fn judge(&self, view: &View<'_, '_>) -> Result<Option<Hit<'_>>, Failed<'_>> {
        let (mut selected, mut rejected) = (None, None);
        let known = view.each(self.field, self.resource_type.as_deref(), &mut |text| {
            selected = selected.or_else(|| self.select.iter().find_map(|values| values.find(text)));
            rejected = rejected.or_else(|| self.reject.iter().find_map(|values| values.find(text)));
        });
        match (rejected, selected) {
            _ if !known => Ok(None),
            (Some(hit), _) => Err(Failed { test: self, hit: Some(hit) }),
            (None, None) if !self.select.is_empty() => Err(Failed { test: self, hit: None }),
            (None, selected) => Ok(selected),
        }
    }

    /// What the record has in this field.
    pub(super) fn found(&self, view: &View<'_, '_>) -> Vec<String> {
        let mut found = Vec::new();
        view.each(self.field, self.resource_type.as_deref(), &mut |text| found.push(text.to_owned()));
        found
    }
}

/// The values of one operator, in an order that lets one comparison in many decide.
#[derive(Clone, Debug)]
pub(super) struct Values {
    pub(super) operator: Operator,
    /// In order of their bytes, of their bytes from the end for ends. Of beginnings and ends, none is one of another.
    sorted: Vec<Box<str>>,
}

impl Values {
    fn new(operator: Operator, values: &[String]) -> Self {
        let mut sorted: Vec<Box<str>> = values.iter().map(|value| value.as_str().into()).collect();
        let order = order(operator);
        sorted.sort_by(|a, b| order(a, b));
        sorted.dedup_by(|later, earlier| covers(operator, earlier, later));
        Self { operator, sorted }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        self.sorted.iter().map(AsRef::as_ref)
    }

    /// The value that `text` is, begins with or ends with.
    ///
    /// What lies between a beginning of the text and the text in their order begins with it, too. As no value begins with
    /// another, the last one that isn't behind the text is the only candidate; so with ends.
    fn find(&self, text: &str) -> Option<Hit<'_>> {
        let order = order(self.operator);
        let behind = self.sorted.partition_point(|value| order(value, text) != Ordering::Greater);
        let candidate = &**self.sorted.get(behind.checked_sub(1)?)?;
        covers(self.operator, candidate, text).then_some((self.operator, candidate))
    }
}

fn order(operator: Operator) -> fn(&str, &str) -> Ordering {
    match operator {
        Operator::EndsWith | Operator::NotEndsWith => |a, b| a.bytes().rev().cmp(b.bytes().rev()),
        _ => |a, b| a.as_bytes().cmp(b.as_bytes()),
    }
}

fn covers(operator: Operator, value: &str, text: &str) -> bool {
    match operator {
        Operator::Equals | Operator::NotEquals => text == value,
        Operator::StartsWith | Operator::NotStartsWith => text.starts_with(value),
        Operator::EndsWith | Operator::NotEndsWith => text.ends_with(value),
    }
}
