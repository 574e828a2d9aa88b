//! One JSON document, written as it comes: of what was validated only the digest in work and the findings are held.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::chain::Range;
use super::finding::{Event, JudgedDigest};
use super::tally::{Ratio, Tally};
use super::time::display;

/// Writes `{"trail", "requested", "digests": [{…, "logFiles": […]}], "gaps", "findings", "summary"}`.
pub(super) struct Json<O> {
    out: O,
    open: Option<(Value, Vec<Value>)>,
    is_first: bool,
    gaps: Vec<Value>,
    findings: Vec<Value>,
    moved: Option<String>,
}

impl<O: Write> Json<O> {
    pub(super) fn begin(mut out: O, what: &str, range: Range) -> io::Result<Self> {
        let requested = json!({"start": display(range.start), "end": display(range.end)});
        write!(out, "{{\"trail\":{},\"requested\":{requested},\"digests\":[", Value::from(what))?;
        Ok(Self { out, open: None, is_first: true, gaps: Vec::new(), findings: Vec::new(), moved: None })
    }

    pub(super) fn tell(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Listed(_) => {}
            Event::Digest(judged) => {
                self.close()?;
                self.open = Some((digest(judged), Vec::new()));
            }
            Event::Log { name, result } => {
                let fault = result.as_ref().err().map(ToString::to_string);
                if let Some((_, logs)) = &mut self.open {
                    logs.push(json!({"name": name, "valid": fault.is_none(), "fault": fault}));
                }
            }
            Event::Gap { backfill, from, until } => {
                self.gaps.push(json!({"backfill": backfill, "start": display(*from), "end": display(*until)}));
            }
            Event::Finding(finding) => {
                let (severity, kind) = (finding.severity(), finding.kind());
                let (name, detail) = (&finding.name, finding.detail());
                self.findings.push(json!({"severity": severity, "kind": kind, "name": name, "detail": detail}));
            }
            Event::Moved { from } => self.moved = Some(from.clone()),
        }
        Ok(())
    }

    /// Writes the digest in work.
    fn close(&mut self) -> io::Result<()> {
        let Some((mut digest, logs)) = self.open.take() else { return Ok(()) };
        digest["logFiles"] = logs.into();
        let comma = if self.is_first { "" } else { "," };
        self.is_first = false;
        write!(self.out, "{comma}\n{digest}")
    }

    pub(super) fn end(mut self, tally: &Tally, chains: usize) -> io::Result<()> {
        self.close()?;
        let found = tally.found.map(|(from, until)| json!({"start": display(from), "end": display(until)}));
        let ratio = |ratio: Ratio| json!({"valid": ratio.valid, "invalid": ratio.invalid});
        let summary = json!({
            "valid": !tally.is_invalid(),
            "found": found,
            "chains": chains,
            "digests": ratio(tally.digests),
            "backfillDigests": ratio(tally.backfills),
            "logFiles": ratio(tally.logs),
            "findings": tally.findings,
            "unlistedLogFiles": tally.warnings,
            "chainRestarts": tally.restarts,
        });
        let (gaps, findings, moved) = (Value::from(self.gaps), Value::from(self.findings), Value::from(self.moved));
        writeln!(
            self.out,
            "\n],\"gaps\":{gaps},\"findings\":{findings},\"movedFrom\":{moved},\"summary\":{summary}}}"
        )?;
        self.out.flush()
    }
}

fn digest(judged: &JudgedDigest) -> Value {
    let (name, backfill) = (&judged.name, judged.backfill);
    match &judged.result {
        Ok(span) => json!({
            "name": name,
            "backfill": backfill,
            "valid": true,
            "start": display(span.start),
            "end": display(span.end),
            "publicKeyFingerprint": span.fingerprint,
            "sourceDigests": span.sources,
        }),
        Err(fault) => json!({"name": name, "backfill": backfill, "valid": false, "fault": fault.to_string()}),
    }
}
