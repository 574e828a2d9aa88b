//! Small files that are whole or absent: written beside, synced, renamed into place, and the folder synced too.
//!
//! It owns the order of those steps. After a crash at any moment a file holds its old or its new content; what may
//! be left over is a file with the suffix [`TEMP_SUFFIX`], which readers of a folder pass over and nobody else owns.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::durably;

/// What a file that is still being written ends in.
pub const TEMP_SUFFIX: &str = ".tmp";

/// Replaces `path` by a file of `bytes`. Durable when it returns.
///
/// # Errors
/// Whatever the file system says; the old content is then still there.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Two writers of one path (the process and a command) must not share a temporary file.
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let mut temp = path.as_os_str().to_owned();
    temp.push(format!(".{}-{serial}{TEMP_SUFFIX}", std::process::id()));
    let temp = PathBuf::from(temp);
    let written = durably(path, "write a file beside", || write_synced(&temp, bytes))
        .and_then(|()| durably(path, "rename into place", || fs::rename(&temp, path)));
    if let Err(error) = written {
        // Best effort: the write's own error is what matters.
        drop(fs::remove_file(&temp));
        return Err(error);
    }
    sync_parent(path)
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Adds one line to a file that only ever grows. Durable when it returns.
///
/// A crash can leave half a line at the end; readers pass over a line that they cannot read, and the next line starts
/// on its own.
///
/// # Errors
/// Whatever the file system says.
pub fn append_line(path: &Path, line: &[u8]) -> io::Result<()> {
    let is_new = !path.exists();
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let mut out = Vec::with_capacity(line.len() + 2);
    if !ends_with_newline(&mut file)? {
        out.push(b'\n');
    }
    out.extend_from_slice(line);
    out.push(b'\n');
    durably(path, "append a line", || {
        file.write_all(&out)?;
        file.sync_all()
    })?;
    if is_new { sync_parent(path) } else { Ok(()) }
}

/// True for an empty file too: there is no half line to end.
fn ends_with_newline(file: &mut File) -> io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == [b'\n'])
}

/// Makes the entries of a folder durable: files created in it, renamed into it or removed from it.
///
/// # Errors
/// Whatever the file system says.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Creates a folder and those above it, durably.
///
/// # Errors
/// Whatever the file system says.
pub fn create_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_dir(parent)?;
    }
    match fs::create_dir(dir) {
        Ok(()) => sync_parent(dir),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => sync_dir(Path::new(".")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write(&path, b"old").unwrap();
        write(&path, b"new and longer").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new and longer");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("x"), b"x").unwrap();
        write(&path, b"cannot replace a full folder").unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_half_line_does_not_swallow_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        append_line(&path, b"one").unwrap();
        fs::write(&path, b"one\n{\"ha").unwrap();
        append_line(&path, b"two").unwrap();
        append_line(&path, b"three").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n{\"ha\ntwo\nthree\n");
    }

    #[test]
    fn folders_are_created_with_those_above() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        create_dir(&deep).unwrap();
        create_dir(&deep).unwrap();
        assert!(deep.is_dir());
        fs::write(dir.path().join("file"), b"").unwrap();
        create_dir(&dir.path().join("file/x")).unwrap_err();
    }
}
