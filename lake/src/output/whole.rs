//! Where results go: standard output, a file, or an object. A file or an object is there whole or not at all.
//!
//! A file is written beside its place under a hidden name, synced, and renamed. An object is written into a temporary file
//! first and put from there, so that memory stays bounded and nothing is put of a query that fails. What is dropped without
//! being finished leaves nothing behind.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes between the encoder and the file.
const BUFFER_BYTES: usize = 256 << 10;

/// A file that takes its name when it is whole.
#[derive(Debug)]
pub(crate) struct Whole {
    /// Where it is until then; none once it has its name.
    temp: Option<PathBuf>,
    path: PathBuf,
}

impl Whole {
    /// Begins a file beside `path`. The folder must be there.
    pub(crate) fn begin(path: &Path) -> io::Result<(Self, BufWriter<File>)> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy();
        let temp = path.with_file_name(format!(".{name}.{}-{serial}.tmp", std::process::id()));
        let file = File::options().write(true).create_new(true).open(&temp)?;
        let whole = Self { temp: Some(temp), path: path.to_owned() };
        Ok((whole, BufWriter::with_capacity(BUFFER_BYTES, file)))
    }

    /// Where the file is before it has its name.
    pub(crate) fn path(&self) -> &Path {
        self.temp.as_deref().unwrap_or(&self.path)
    }

    /// Gives the file its name, durably. Everything must have been flushed.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let Some(temp) = self.temp.take() else { return Ok(()) };
        let named = File::open(&temp).and_then(|file| file.sync_all()).and_then(|()| fs::rename(&temp, &self.path));
        if named.is_err() {
            drop(fs::remove_file(&temp));
        }
        named?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        orgtrail_service::durable::sync_dir(folder)
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if let Some(temp) = self.temp.take() {
            drop(fs::remove_file(temp));
        }
    }
}
