//! What is told of a query besides its rows.

use std::time::Duration;

use bytesize::ByteSize;
use orgtrail_lake::sql::{ColumnDescription, Figures};
use orgtrail_lake::{Config, Kind, samples};

use super::target::{Answered, Asked, Target};
use crate::terminal::{count, table};

/// The last line: what was answered, and what it cost.
pub(super) fn summary(answered: &Answered) -> String {
    let Answered { figures, to, as_text, is_remote } = answered;
    let mut line = String::new();
    if let Some(to) = to {
        line = format!("wrote {to}: ");
    }
    let Figures { rows_out, rows_scanned, bytes_scanned, spilled_bytes, elapsed } = figures;
    line += &format!("{} {}", count(*rows_out), if *rows_out == 1 { "row" } else { "rows" });
    if !is_remote {
        // Lake bills by the bytes that a query scans.
        let (scanned, exact) = (ByteSize(*bytes_scanned), count(*bytes_scanned));
        line += &format!("; scanned {} events, {scanned} ({exact} bytes)", count(*rows_scanned));
    }
    line += &format!("; {}", seconds(*elapsed));
    if *spilled_bytes > 0 {
        line += &format!("; {} spilled to disk", ByteSize(*spilled_bytes));
    }
    if !as_text.is_empty() {
        let (columns, are) = if as_text.len() == 1 { ("column", "is") } else { ("columns", "are") };
        line += &format!("\n{columns} {} {are} written as text: the format has no such type", as_text.join(", "));
    }
    line
}

/// While it runs.
pub(super) fn progress(figures: &Figures) -> String {
    let Figures { rows_out, rows_scanned, bytes_scanned, elapsed, .. } = figures;
    let (rows, events, scanned) = (count(*rows_out), count(*rows_scanned), ByteSize(*bytes_scanned));
    format!("{scanned} and {events} events scanned, {rows} rows, {}", seconds(*elapsed))
}

fn seconds(elapsed: Duration) -> String {
    format!("{:.2} s", elapsed.as_secs_f64())
}

/// Sample queries, ready to be sent: all, or those about something.
pub(super) fn samples(phrase: &str) -> String {
    let found: Vec<_> = match phrase.trim() {
        "" => samples::all().iter().collect(),
        phrase => samples::search(phrase).into_iter().map(|(sample, _)| sample).collect(),
    };
    if found.is_empty() {
        return format!("no sample query is about {phrase}; without a phrase all are printed\n");
    }
    let text = found.iter().map(|sample| {
        let store = if sample.kind == Kind::Events { "events" } else { sample.kind.name() };
        format!("-- {}: {}\n{};\n", sample.name, sample.description, sample.statement(store).trim_end())
    });
    text.collect::<Vec<_>>().join("\n")
}

/// Who is asked.
pub(super) fn who(target: &Target) -> String {
    let stores: Vec<_> = target.config().event_data_stores.iter().map(|store| store.name.as_str()).collect();
    let stores = stores.join(", ");
    match &target.engine {
        Asked::Embedded(_) => format!("event data stores {stores}"),
        Asked::Remote(remote) => format!("event data stores {stores}, by {}", remote.address()),
    }
}

/// The event data stores.
pub(super) fn tables(config: &Config) -> String {
    let rows = config.event_data_stores.iter().map(|store| {
        let location = store.location.as_ref().map(ToString::to_string).unwrap_or_default();
        vec![store.name.clone(), store.kind.name().to_owned(), store.id.clone().unwrap_or_default(), location]
    });
    format!("{}\n", table(4, &["NAME", "KIND", "ID", "LOCATION"], rows.collect()))
}

/// The columns of one.
pub(super) fn columns(columns: &[ColumnDescription]) -> String {
    let mut text = String::new();
    let width = columns.iter().map(|column| column.name.len()).max().unwrap_or(0);
    for ColumnDescription { name, data_type, description } in columns {
        // Types of structs are long: they come last.
        text += &format!("{name:width$}  {description}\n{:width$}  {data_type}\n", "");
    }
    text
}
