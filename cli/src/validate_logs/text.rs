//! The lines of the AWS CLI, to the byte, and ours between them.

use std::io::{self, Write};

use indicatif::ProgressBar;

use super::chain::Range;
use super::finding::{Event, JudgedDigest, Severity};
use super::tally::{Ratio, Tally};
use super::time::display;

/// Writes lines; valid files are told only when it is verbose.
pub(super) struct Text<O, E> {
    out: O,
    errors: E,
    verbose: bool,
    /// An empty line was written last.
    is_spaced: bool,
    bar: ProgressBar,
}

impl<O: Write, E: Write> Text<O, E> {
    /// Begins with what is validated.
    pub(super) fn begin(
        mut out: O,
        errors: E,
        what: &str,
        range: Range,
        verbose: bool,
        bar: ProgressBar,
    ) -> io::Result<Self> {
        let (start, end) = (display(range.start), display(range.end));
        write!(out, "Validating log files for trail {what} between {start} and {end}\n\n")?;
        Ok(Self { out, errors, verbose, is_spaced: true, bar })
    }

    pub(super) fn tell(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Listed(digests) => self.bar.inc_length(*digests as u64),
            Event::Digest(judged) => {
                self.bar.inc(1);
                self.digest(judged)?;
            }
            Event::Log { name, result: Ok(()) } => self.line(format_args!("Log file\t{name}\tvalid"))?,
            Event::Log { name, result: Err(fault) } => self.error(&format!("Log file\t{name}\tINVALID: {fault}"))?,
            Event::Gap { backfill, from, until } => {
                let (from, until) = (display(*from), display(*until));
                let backfill = if *backfill { "(backfill) " } else { "" };
                self.error(&format!("{backfill}No log files were delivered by CloudTrail between {from} and {until}"))?;
            }
            Event::Finding(finding) if finding.severity() == Severity::Note => {
                self.line(format_args!("{}", finding.line()))?;
            }
            Event::Finding(finding) => self.error(&finding.line())?,
            Event::Moved { from } => {
                self.error(&format!("Digest files\t{from}\tmoved: copies are validated as what they were there"))?;
            }
        }
        Ok(())
    }

    fn digest(&mut self, judged: &JudgedDigest) -> io::Result<()> {
        let (name, backfill) = (&judged.name, if judged.backfill { "(backfill) " } else { "" });
        match &judged.result {
            Ok(span) => {
                self.line(format_args!("{backfill}Digest file\t{name}\tvalid"))?;
                for source in &span.sources {
                    let (name, at, key, files) =
                        (&source.name, &source.verified_at, &source.fingerprint, source.log_files);
                    self.line(format_args!(
                        "Source digest\t{name}\tverified at {at} with key {key}, lists {files} log files"
                    ))?;
                }
                Ok(())
            }
            Err(fault) => self.error(&format!("{backfill}Digest file\t{name}\tINVALID: {fault}")),
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) -> io::Result<()> {
        if !self.verbose {
            return Ok(());
        }
        self.is_spaced = false;
        writeln!(self.out, "{line}")
    }

    fn error(&mut self, line: &str) -> io::Result<()> {
        // In the order of events where both are a terminal.
        self.out.flush()?;
        let space = if self.is_spaced { "" } else { "\n" };
        self.is_spaced = true;
        let errors = &mut self.errors;
        self.bar.suspend(|| write!(errors, "{space}{line}\n\n"))
    }

    /// The summary. What the AWS CLI doesn't count comes behind its own lines.
    pub(super) fn end(mut self, tally: &Tally, range: Range, chains: usize) -> io::Result<()> {
        self.bar.finish_and_clear();
        let out = &mut self.out;
        if !self.is_spaced {
            writeln!(out)?;
        }
        writeln!(out, "Results requested for {} to {}", display(range.start), display(range.end))?;
        if tally.digests.total() + tally.backfills.total() == 0 {
            writeln!(out, "No digests found")?;
        } else {
            match tally.found {
                None => writeln!(out, "No valid digests found in range")?,
                Some((from, until)) => writeln!(out, "Results found for {} to {}:", display(from), display(until))?,
            }
            for (ratio, name) in [(tally.digests, "digest"), (tally.backfills, "backfill digest"), (tally.logs, "log")]
            {
                write_ratio(out, ratio, name)?;
            }
            writeln!(out)?;
        }
        for (count, what) in [
            (tally.findings, "findings in digest chains INVALID"),
            (tally.warnings, "log files that no digest file lists"),
            (tally.restarts, "chain restarts"),
        ] {
            if count > 0 {
                writeln!(out, "{count} {what}")?;
            }
        }
        if chains > 1 {
            writeln!(out, "{chains} accounts and regions")?;
        }
        out.flush()
    }
}

fn write_ratio(out: &mut impl Write, ratio: Ratio, name: &str) -> io::Result<()> {
    let (total, valid, invalid) = (ratio.total(), ratio.valid, ratio.invalid);
    if total > 0 {
        write!(out, "\n{valid}/{total} {name} files valid")?;
        if invalid > 0 {
            write!(out, ", {invalid}/{total} {name} files INVALID")?;
        }
    }
    Ok(())
}
