//! What a person types into the shell: statements that end at a semicolon, and commands that begin with a backslash.
//!
//! Pure. Quotes and comments are read as SQL has them, so that a semicolon inside is none.

/// A text cut into statements, without their semicolons.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Split {
    /// Those that ended. Never empty ones.
    pub(super) statements: Vec<String>,
    /// What comes behind the last semicolon, trimmed; empty where nothing but comments does.
    pub(super) rest: String,
    /// A quote or comment in it is still open.
    pub(super) is_open: bool,
}

/// Cuts a text at its semicolons.
pub(super) fn split(text: &str) -> Split {
    let mut split = Split { statements: Vec::new(), rest: String::new(), is_open: false };
    let (mut from, mut at, mut has_words) = (0, 0, false);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        let step = match &bytes[at..] {
            [quote @ (b'\'' | b'"' | b'`'), after @ ..] => match quoted(after, *quote) {
                Some(length) => length + 1,
                None => return open(split, text, from),
            },
            [b'-', b'-', after @ ..] => {
                at += 2 + after.iter().position(|byte| *byte == b'\n').unwrap_or(after.len());
                continue;
            }
            [b'/', b'*', after @ ..] => match after.windows(2).position(|pair| pair == b"*/") {
                Some(length) => {
                    at += length + 4;
                    continue;
                }
                None => return open(split, text, from),
            },
            [b';', ..] => {
                if has_words {
                    split.statements.push(text[from..at].trim().to_owned());
                }
                (from, has_words) = (at + 1, false);
                at += 1;
                continue;
            }
            [byte, ..] if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            _ => 1,
        };
        has_words = true;
        at += step;
    }
    if has_words {
        text[from..].trim().clone_into(&mut split.rest);
    }
    split
}

/// Bytes up to the end of a quote that has begun, its last included. A doubled quote stands for itself.
fn quoted(text: &[u8], quote: u8) -> Option<usize> {
    let mut at = 0;
    loop {
        at += 1 + text[at..].iter().position(|byte| *byte == quote)?;
        if text.get(at) != Some(&quote) {
            return Some(at);
        }
        at += 1;
    }
}

fn open(mut split: Split, text: &str, from: usize) -> Split {
    text[from..].trim().clone_into(&mut split.rest);
    split.is_open = true;
    split
}

/// A command of the shell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// `\?`
    Help,
    /// `\q`
    Quit,
    /// `\l`, `\dt` and `\d`: the event data stores.
    List,
    /// `\d NAME`: the columns of one.
    Describe(String),
    /// `\samples [PHRASE]`
    Samples(String),
    /// `\timing [on|off]`
    Timing(Option<bool>),
    /// `\o [FORMAT|FILE]`
    Output(Option<String>),
    /// `\i FILE`
    File(String),
    /// None of these.
    Unknown(String),
}

/// The command of a line, if it is one.
pub(super) fn command(line: &str) -> Option<Command> {
    let line = line.trim().trim_end_matches(';').trim_end();
    if matches!(line.to_ascii_lowercase().as_str(), "quit" | "exit") {
        return Some(Command::Quit);
    }
    if line.eq_ignore_ascii_case("help") {
        return Some(Command::Help);
    }
    let line = line.strip_prefix('\\')?;
    let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let argument = argument.trim();
    let given = (!argument.is_empty()).then(|| argument.to_owned());
    Some(match (name, given) {
        ("?" | "h", _) => Command::Help,
        ("q", _) => Command::Quit,
        ("l" | "dt" | "d", None) => Command::List,
        ("d" | "dt", Some(name)) => Command::Describe(name.trim_matches('"').to_owned()),
        ("samples", phrase) => Command::Samples(phrase.unwrap_or_default()),
        ("timing", None) => Command::Timing(None),
        ("timing", Some(on)) if on == "on" || on == "off" => Command::Timing(Some(on == "on")),
        ("o", output) => Command::Output(output),
        ("i", Some(file)) => Command::File(file),
        _ => Command::Unknown(format!("\\{line}")),
    })
}

/// What `\?` prints.
pub(super) const HELP: &str = "\
SELECT …;              a statement, over as many lines as it needs, up to its semicolon
\\d, \\dt, \\l            event data stores
\\d NAME               columns of one, with what they hold
\\samples [PHRASE]     sample queries, or those about something
\\i FILE               the statements of a file
\\o [FORMAT|FILE]      table, csv or json from now on; or the next result into a file; alone: back to table
\\timing [on|off]      tell rows, bytes and seconds after each statement, or not
\\?                    this
\\q                    quit, as Ctrl-D does; Ctrl-C ends a statement
";

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(text: &str) -> (Vec<String>, String, bool) {
        let Split { statements, rest, is_open } = split(text);
        (statements, rest, is_open)
    }

    #[test]
    fn statements_end_at_semicolons_that_are_not_quoted() {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        for (text, ended, rest, is_open) in [
            ("SELECT 1;", &["SELECT 1"][..], "", false),
            ("SELECT 1; SELECT 2", &["SELECT 1"], "SELECT 2", false),
            ("SELECT ';', \"a;b\", `c;` ;", &["SELECT ';', \"a;b\", `c;`"], "", false),
            ("SELECT 'it''s;';", &["SELECT 'it''s;'"], "", false),
            ("SELECT 'open;", &[], "SELECT 'open;", true),
            ("SELECT 1 -- no; not here\n;", &["SELECT 1 -- no; not here"], "", false),
            ("SELECT /* ; */ 1;", &["SELECT /* ; */ 1"], "", false),
            ("SELECT /* open ;", &[], "SELECT /* open ;", true),
            (";;  ; -- nothing\n", &[], "", false),
            ("SELECT 5 - -1;", &["SELECT 5 - -1"], "", false),
            ("SELECT 'ü;' ; SELECT 'ß", &["SELECT 'ü;'"], "SELECT 'ß", true),
        ] {
            assert_eq!(statements(text), (owned(ended), rest.to_owned(), is_open), "{text}");
        }
    }

    #[test]
    fn a_backslash_begins_a_command() {
        for (line, expected) in [
            ("\\d", Command::List),
            ("\\l;", Command::List),
            ("\\d events", Command::Describe("events".to_owned())),
            ("\\samples console logins", Command::Samples("console logins".to_owned())),
            ("\\timing off", Command::Timing(Some(false))),
            ("\\o csv", Command::Output(Some("csv".to_owned()))),
            ("\\o", Command::Output(None)),
            ("  exit ;", Command::Quit),
            ("\\timing maybe", Command::Unknown("\\timing maybe".to_owned())),
        ] {
            assert_eq!(command(line), Some(expected), "{line}");
        }
        assert_eq!(command("SELECT 1"), None);
        assert_eq!(command("exit_code"), None);
    }
}
