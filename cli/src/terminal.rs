//! What a person sees: aligned tables, humane numbers, errors, progress that stays quiet when piped.

use std::io::IsTerminal;
use std::process::ExitCode;

use comfy_table::TableStyle;
use comfy_table::{CellAlignment, Table};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use orgtrail_service::run::Exit;

/// What a shell says of a program that a broken pipe ended: 128 + SIGPIPE.
pub const BROKEN_PIPE: u8 = 141;

/// A table without borders; every column but the first `text_columns` is right-aligned.
pub fn table(text_columns: usize, header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_header(header.to_vec()).add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if index == 0 { 0 } else { 1 }, 1));
        if index >= text_columns {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// `1234567` as `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Seconds as `3 s`, `4 min`, `5 h` or `6 d`.
pub fn age(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

/// Ends a verb: an error goes to standard error with its causes.
pub fn end(result: anyhow::Result<Exit>) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("orgtrail: {error:#}");
            Exit::Failed.into()
        }
    }
}

/// A progress bar on standard error; invisible when that is no terminal.
pub fn progress(what: &'static str, total: u64) -> ProgressBar {
    let target =
        if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    let style = ProgressStyle::with_template("{msg:<12} {bar:30} {human_pos}/{human_len}  {elapsed}")
        .expect("the template is a constant");
    bar.set_style(style);
    bar.set_message(what);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn columns_are_aligned() {
        let rows = vec![vec!["a".to_owned(), "1".to_owned()], vec!["long".to_owned(), "1,000".to_owned()]];
        let text = table(1, &["name", "n"], rows);
        let ends: Vec<_> = text.lines().map(|line| line.trim_end().len()).collect();
        assert_eq!(ends, [ends[0]; 3], "{text}");
    }
}
