//! `dropped.jsonl` written anew: what was given up is kept whole, and so has to follow when payloads are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::{Entry, Error};
use crate::durable;

/// Passes the entry of every line through `change`. Half a line, left by a crash, is left out: its entry is still there, and
/// is dropped again. The file holds its old or its new content at any moment.
pub(super) fn rewrite<E: From<Error>>(
    path: &Path,
    mut change: impl FnMut(&mut Entry) -> Result<bool, E>,
) -> Result<(), E> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("open", path)(error).into()),
    };
    let temp = PathBuf::from(format!("{}.rewritten{}", path.display(), durable::TEMP_SUFFIX));
    let created = File::create(&temp).map_err(Error::io("create", &temp))?;
    let mut out = BufWriter::new(created);
    for line in BufReader::new(file).split(b'\n') {
        let line = line.map_err(Error::io("read", path))?;
        let Some((mut gone, mut entry)) = parse(&line) else { continue };
        if change(&mut entry)? {
            gone["entry"] = serde_json::to_value(&entry).expect("strings, numbers and times are always JSON");
        }
        writeln!(out, "{gone}").map_err(Error::io("write", &temp))?;
    }
    let written = out.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
    written.map_err(Error::io("write", &temp))?;
    std::fs::rename(&temp, path).map_err(Error::io("replace", path))?;
    let folder = path.parent().unwrap_or(path);
    durable::sync_dir(folder).map_err(Error::io("sync", folder))?;
    Ok(())
}

fn parse(line: &[u8]) -> Option<(Value, Entry)> {
    let gone: Value = serde_json::from_slice(line).ok()?;
    let entry = serde_json::from_value(gone.get("entry")?.clone()).ok()?;
    Some((gone, entry))
}
