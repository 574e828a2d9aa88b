//! What the columns of an answer are called: an alias or a column's name as the statement writes it, a member's last name,
//! and `_col0`, `_col1` … for all else, as in Lake.
//!
//! Inside, names are lower case and each occurs once, as the planner needs it; what a client sees is put back at the end.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Ident, ObjectNamePart, OrderByKind, Query, Select, SelectItem, SetExpr, TableFactor,
};

use super::{lower, quoted};

/// The names of an answer's columns from the front and, behind a wildcard, from the back.
#[derive(Clone, Debug, Default)]
pub(in crate::sql) struct OutputNames {
    front: Vec<Option<String>>,
    back: Vec<Option<String>>,
    has_wildcard: bool,
}

impl OutputNames {
    /// Those of a query that was not rewritten.
    pub(super) fn of(query: &Query) -> Self {
        let mut names = Self::default();
        let Some(select) = first_select(&query.body) else { return names };
        for item in &select.projection {
            match item {
                // Names between two wildcards have no position.
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                    names.has_wildcard = true;
                    names.back.clear();
                }
                item if names.has_wildcard => names.back.push(written(item)),
                item => names.front.push(written(item)),
            }
        }
        names
    }

    /// The names of an answer whose columns are called `inner` inside. None occurs twice: the second `arn` is `arn_2`.
    pub(in crate::sql) fn apply<'a>(&self, inner: impl ExactSizeIterator<Item = &'a str>) -> Vec<String> {
        let count = inner.len();
        let from_back = |index: usize| (index + self.back.len()).checked_sub(count).and_then(|at| self.back.get(at));
        let mut taken = HashSet::new();
        inner
            .enumerate()
            .map(|(index, inner)| {
                let written = self.front.get(index).or_else(|| from_back(index)).cloned().flatten();
                let name = match written {
                    Some(name) => name,
                    None if inner.starts_with(UNNAMED) => format!("_col{index}"),
                    None => inner.to_owned(),
                };
                let mut unique = name.clone();
                let mut count = 1;
                while !taken.insert(unique.to_lowercase()) {
                    count += 1;
                    unique = format!("{name}_{count}");
                }
                unique
            })
            .collect()
    }
}

/// What begins the inner name of a column that the statement gives none.
const UNNAMED: &str = "_col";

/// An item's name as the statement writes it; None if it has none.
fn written(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        SelectItem::UnnamedExpr(expr) => last_name(expr).map(|name| name.value.clone()),
        _ => None,
    }
}

/// The name of a column or member.
fn last_name(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(parts) => parts.last(),
        Expr::CompoundFieldAccess { access_chain, .. } => match access_chain.last()? {
            AccessExpr::Dot(Expr::Identifier(name)) => Some(name),
            _ => None,
        },
        Expr::Nested(inner) => last_name(inner),
        _ => None,
    }
}

fn first_select(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => first_select(&query.body),
        SetExpr::SetOperation { left, .. } => first_select(left),
        _ => None,
    }
}

/// Gives every column of a query a name of its own, and lets ORDER BY say it.
pub(super) fn name_columns(query: &mut Query) {
    name_selects(&mut query.body);
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    let Some(OrderByKind::Expressions(orders)) = query.order_by.as_mut().map(|order| &mut order.kind) else { return };
    for order in orders {
        let same = select.projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if is_same(expr, &order.expr) => Some(alias),
            _ => None,
        });
        if let Some(alias) = same {
            order.expr = Expr::Identifier(alias.clone());
        }
    }
}

fn is_same(left: &Expr, right: &Expr) -> bool {
    left == right || left.to_string().eq_ignore_ascii_case(&right.to_string()) && !has_text(left)
}

/// Whether case matters in it.
fn has_text(expr: &Expr) -> bool {
    expr.to_string().contains('\'')
}

fn name_selects(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => name_select(select),
        SetExpr::SetOperation { left, right, .. } => {
            name_selects(left);
            name_selects(right);
        }
        // A query in parentheses is visited by itself.
        _ => {}
    }
}

fn name_select(select: &mut Select) {
    let tables = table_names(select);
    let mut taken = HashSet::new();
    // A column beside a wildcard would stand there twice under one name.
    let is_wildcard = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
    let has_wildcard = select.projection.iter().any(is_wildcard);
    for (index, item) in select.projection.iter_mut().enumerate() {
        let (name, is_given) = match item {
            SelectItem::ExprWithAlias { alias, .. } => (alias.value.to_lowercase(), true),
            SelectItem::UnnamedExpr(expr) => {
                let is_column = is_column(expr, &tables);
                let name = last_name(expr).map(|name| name.value.to_lowercase());
                (name.unwrap_or_else(|| format!("{UNNAMED}{index}")), is_column)
            }
            _ => continue,
        };
        let is_new = taken.insert(name.clone());
        match item {
            SelectItem::ExprWithAlias { alias, .. } if is_new => lower(alias),
            SelectItem::ExprWithAlias { alias, .. } => *alias = another(&name, &mut taken),
            SelectItem::UnnamedExpr(_) if is_given && is_new && !has_wildcard => {}
            SelectItem::UnnamedExpr(expr) => {
                let alias = if is_new && !has_wildcard { quoted(&name) } else { another(&name, &mut taken) };
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
            _ => {}
        }
    }
}

/// A name like `name` that isn't taken.
fn another(name: &str, taken: &mut HashSet<String>) -> Ident {
    let mut count = 2;
    while !taken.insert(format!("{name}_{count}")) {
        count += 1;
    }
    quoted(&format!("{name}_{count}"))
}

/// Whether it is a column by itself, whose name needs no alias.
fn is_column(expr: &Expr, tables: &HashSet<String>) -> bool {
    match expr {
        Expr::Identifier(_) => true,
        Expr::CompoundIdentifier(parts) => parts.len() == 2 && tables.contains(&parts[0].value.to_lowercase()),
        _ => false,
    }
}

/// What qualifies columns in a SELECT.
fn table_names(select: &Select) -> HashSet<String> {
    let mut names = HashSet::new();
    for table in &select.from {
        add_names(&table.relation, &mut names);
        table.joins.iter().for_each(|join| add_names(&join.relation, &mut names));
    }
    names
}

fn add_names(relation: &TableFactor, names: &mut HashSet<String>) {
    match relation {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. } => {
            names.insert(alias.name.value.to_lowercase());
        }
        TableFactor::Table { name, .. } => {
            names.extend(name.0.last().and_then(ObjectNamePart::as_ident).map(|name| name.value.to_lowercase()));
        }
        TableFactor::NestedJoin { table_with_joins, .. } => {
            add_names(&table_with_joins.relation, names);
            table_with_joins.joins.iter().for_each(|join| add_names(&join.relation, names));
        }
        _ => {}
    }
}
