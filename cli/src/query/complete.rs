//! The shell's line editor: when a line is whole, and what Tab offers.

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use super::input::{command, split};

/// Words that begin or join the parts of a statement.
const KEYWORDS: [&str; 38] = [
    "ALL",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CROSS JOIN",
    "DESC",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "FROM",
    "GROUP BY",
    "HAVING",
    "IN",
    "INNER JOIN",
    "INTERSECT",
    "INTERVAL",
    "IS NOT NULL",
    "IS NULL",
    "LEFT JOIN",
    "LIKE",
    "LIMIT",
    "NOT",
    "ON",
    "OR",
    "ORDER BY",
    "SELECT",
    "THEN",
    "UNION",
    "UNNEST",
    "WHEN",
    "WHERE",
    "WITH",
];

const COMMANDS: [&str; 8] = ["\\?", "\\d", "\\dt", "\\i", "\\l", "\\o", "\\q", "\\samples"];

/// Offers below one column's name are this many at most: more is no help.
const OFFERS_MAX: usize = 200;

/// What can be completed.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Event data stores.
    pub(super) tables: Vec<String>,
    /// Columns and members, by their paths.
    pub(super) columns: Vec<String>,
    /// Functions.
    pub(super) functions: Vec<String>,
}

impl Words {
    /// Where the word at the end of `line` begins, and what it can become.
    fn offers(&self, line: &str) -> (usize, Vec<String>) {
        let start = line
            .rfind(|c: char| !(c.is_alphanumeric() || "_.\\".contains(c)))
            .map_or(0, |at| at + line[at..].chars().next().map_or(1, char::len_utf8));
        let word = line[start..].to_lowercase();
        if word.starts_with('\\') {
            let commands = COMMANDS.iter().filter(|command| command.starts_with(&word));
            return (start, commands.map(|command| (*command).to_owned()).collect());
        }
        let mut offers = matching(&self.tables, &word, str::to_owned);
        if line.trim_start().starts_with('\\') || word.is_empty() {
            return (start, offers);
        }
        // A member is offered once its struct is written out; the struct alone before that.
        let level = word.matches('.').count();
        let columns = self.columns.iter().filter(|path| path.matches('.').count() == level);
        offers.extend(matching(columns, &word, str::to_owned));
        offers.extend(matching(&self.functions, &word, |name| format!("{name}(")));
        offers.extend(KEYWORDS.iter().filter(|keyword| keyword.to_lowercase().starts_with(&word)).map(|keyword| {
            let is_lower = line[start..].chars().all(char::is_lowercase);
            if is_lower { keyword.to_lowercase() } else { (*keyword).to_owned() }
        }));
        offers.dedup();
        offers.truncate(OFFERS_MAX);
        (start, offers)
    }
}

/// A column and the members below it, as they are written in a query. The type is in Trino's words.
pub(super) fn paths(name: &str, data_type: &str) -> Vec<String> {
    let mut found = vec![name.to_owned()];
    let Some(members) = data_type.strip_prefix("row(").and_then(|rest| rest.strip_suffix(')')) else { return found };
    let (mut depth, mut from) = (0_usize, 0);
    for (at, character) in members.char_indices().chain([(members.len(), ',')]) {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                if let Some((member, data_type)) = members[from..at].trim().split_once(' ') {
                    found.extend(paths(&format!("{name}.{member}"), data_type));
                }
                from = at + 1;
            }
            _ => {}
        }
    }
    found
}

fn matching<'a>(
    names: impl IntoIterator<Item = &'a String>,
    word: &str,
    offer: impl Fn(&str) -> String,
) -> Vec<String> {
    names.into_iter().filter(|name| name.to_lowercase().starts_with(word)).map(|name| offer(name)).collect()
}

/// The editor's helper.
#[derive(Debug, Default)]
pub(super) struct Editing {
    pub(super) words: Words,
}

impl Completer for Editing {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _context: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.words.offers(&line[..at]))
    }
}

impl Validator for Editing {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match is_whole(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

/// Whether a line can be taken: a command, nothing, or statements up to their semicolon.
fn is_whole(input: &str) -> bool {
    let split = split(input);
    command(input).is_some() || split.rest.is_empty()
}

impl Hinter for Editing {
    type Hint = String;
}

impl Highlighter for Editing {}

impl Helper for Editing {}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Words {
            tables: owned(&["events", "insights"]),
            columns: owned(&["eventname", "eventtime", "useridentity", "useridentity.arn", "useridentity.type"]),
            functions: owned(&["element_at", "date_trunc"]),
        }
    }

    #[test]
    fn tab_offers_what_can_stand_there() {
        for (line, start, expected) in [
            ("SELECT eventn", 7, &["eventname"][..]),
            ("select e", 7, &["events", "eventname", "eventtime", "element_at(", "else", "end", "except", "exists"]),
            ("SELECT USERIDENTITY.", 7, &["useridentity.arn", "useridentity.type"]),
            ("SELECT useri", 7, &["useridentity"]),
            ("SELECT count(eventt", 13, &["eventtime"]),
            ("\\d ev", 3, &["events"]),
            ("\\d ", 3, &["events", "insights"]),
            ("\\sa", 0, &["\\samples"]),
            ("SELECT ü", 7, &[]),
        ] {
            let (at, offers) = words().offers(line);
            assert_eq!(
                (at, offers.iter().map(String::as_str).collect::<Vec<_>>()),
                (start, expected.to_vec()),
                "{line}"
            );
        }
    }

    #[test]
    fn members_of_structs_have_paths() {
        let identity = "row(type varchar, issuer row(arn varchar, n bigint), tags array(row(key varchar)), last date)";
        let expected = ["u", "u.type", "u.issuer", "u.issuer.arn", "u.issuer.n", "u.tags", "u.last"];
        assert_eq!(paths("u", identity), expected);
        assert_eq!(paths("eventname", "varchar"), ["eventname"]);
    }

    #[test]
    fn a_statement_is_whole_at_its_semicolon_and_a_command_at_once() {
        for whole in ["", "  ", "SELECT 1;", "\\d events", "quit", "-- only a comment", "SELECT 1; -- behind"] {
            assert!(is_whole(whole), "{whole}");
        }
        for part in ["SELECT 1", "SELECT ';", "SELECT 1; SELECT 2", "SELECT /* ;"] {
            assert!(!is_whole(part), "{part}");
        }
    }
}
