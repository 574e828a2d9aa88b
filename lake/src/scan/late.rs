//! Whether a question's conditions are looked at while files are read, or when the rows are there.
//!
//! Looking while reading leaves out what else would be read of a row: pages of long texts, where few rows in a row are wanted.
//! It costs more than it saves where conditions hold for rows all over a file, and little is read besides.

use std::collections::BTreeSet;

use datafusion::logical_expr::{Expr, Operator};

/// Columns that are read in no time, having few values or short ones.
const SHORT: [&str; 12] = [
    "eventtime",
    "eventsource",
    "eventname",
    "awsregion",
    "recipientaccountid",
    "errorcode",
    "readonly",
    "managementevent",
    "eventcategory",
    "eventtype",
    "sourceipaddress",
    "useridentity",
];

/// More of them are no longer little.
const SHORT_MAX: usize = 4;

/// Whether conditions are looked at while these columns are read.
pub(super) fn is_filtered_while_read(filters: &[Expr], columns: &BTreeSet<String>) -> bool {
    let is_little = columns.len() <= SHORT_MAX && columns.iter().all(|name| SHORT.contains(&name.as_str()));
    !is_little || filters.iter().any(leaves_much_out)
}

/// Whether few rows are expected to be left. What says that a value is there, or isn't one of some, leaves many.
fn leaves_much_out(condition: &Expr) -> bool {
    match condition {
        Expr::IsNotNull(_) => false,
        Expr::InList(list) => !list.negated,
        Expr::Like(like) => !like.negated,
        Expr::BinaryExpr(binary) => match binary.op {
            Operator::NotEq => false,
            Operator::And => leaves_much_out(&binary.left) || leaves_much_out(&binary.right),
            Operator::Or => leaves_much_out(&binary.left) && leaves_much_out(&binary.right),
            _ => true,
        },
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    #[test]
    fn conditions_that_most_rows_meet_wait_until_short_columns_are_read() {
        let is_while_read = |filters: &[Expr], columns: &[&str]| {
            is_filtered_while_read(filters, &columns.iter().map(|name| (*name).to_owned()).collect())
        };
        let (error, name) = (col("errorcode"), col("eventname"));
        let failed = error.clone().is_not_null();
        assert!(!is_while_read(std::slice::from_ref(&failed), &["errorcode", "useridentity"]));
        assert!(!is_while_read(&[failed.clone(), name.clone().not_eq(lit("Decrypt"))], &["errorcode", "eventname"]));
        assert!(!is_while_read(&[failed.clone().and(name.clone().not_like(lit("Get%")))], &["errorcode", "eventname"]));
        assert!(is_while_read(std::slice::from_ref(&failed), &["errorcode", "requestparameters"]), "a long text");
        assert!(is_while_read(&[failed.clone(), name.clone().eq(lit("GetObject"))], &["errorcode", "eventname"]));
        assert!(is_while_read(&[failed.clone().and(name.clone().in_list(vec![lit("A")], false))], &["errorcode"]));
        assert!(!is_while_read(&[failed.clone().or(name.clone().eq(lit("A")))], &["errorcode", "eventname"]));
        assert!(is_while_read(&[error.is_null()], &["errorcode"]));
        let many = ["errorcode", "eventname", "eventsource", "awsregion", "eventtime"];
        assert!(is_while_read(&[failed], &many), "many short ones");
    }
}
