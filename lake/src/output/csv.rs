//! CSV: a header, then a line a row, quoted as RFC 4180 says and ended by a line feed.
//!
//! NULL is nothing at all, an empty text is `""`, so that both can be told apart. Values look as in CloudTrail Lake.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use super::cell::{Cells, Style};
use super::{Encoder, Failure};

/// Writes CSV.
pub(crate) struct Csv<W> {
    out: W,
    style: Style,
    line: Vec<u8>,
}

impl<W: Write> Csv<W> {
    /// Begins with the header.
    pub(crate) fn begin(out: W, schema: &Schema) -> Result<Self, Failure> {
        let mut csv = Self { out, style: Style::default(), line: Vec::new() };
        for (index, field) in schema.fields().iter().enumerate() {
            csv.separate(index);
            let from = csv.line.len();
            csv.line.extend_from_slice(field.name().as_bytes());
            quote(&mut csv.line, from);
        }
        csv.end_line()?;
        Ok(csv)
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.line.push(b',');
        }
    }

    fn end_line(&mut self) -> Result<(), Failure> {
        self.line.push(b'\n');
        self.out.write_all(&self.line)?;
        self.line.clear();
        Ok(())
    }

    /// What it writes to.
    pub(crate) fn get_ref(&self) -> &W {
        &self.out
    }

    /// What it writes to, without its being flushed.
    pub(crate) fn into_inner(self) -> W {
        self.out
    }
}

impl<W: Write + Send> Encoder for Csv<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let style = self.style.clone();
        let mut cells = Cells::new(batch, &style)?;
        for row in 0..batch.num_rows() {
            for column in 0..batch.num_columns() {
                self.separate(column);
                let from = self.line.len();
                if cells.write(row, column, &mut self.line)? {
                    quote(&mut self.line, from);
                }
            }
            self.end_line()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }
}

/// Quotes the field at the end of a line where it must be (RFC 4180, section 2), and where it is empty.
fn quote(line: &mut Vec<u8>, from: usize) {
    let field = &line[from..];
    if !field.is_empty() && !field.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        return;
    }
    let field = line.split_off(from);
    line.push(b'"');
    for part in field.split_inclusive(|byte| *byte == b'"') {
        line.extend_from_slice(part);
        if part.ends_with(b"\"") {
            line.push(b'"');
        }
    }
    line.push(b'"');
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::output::cell::tests::every_kind;

    #[test]
    fn a_header_and_quotes_where_they_must_be_and_null_is_not_the_empty_text() {
        let batch = every_kind();
        let mut csv = Csv::begin(Vec::new(), batch.schema_ref()).unwrap();
        csv.write(&batch).unwrap();
        let text = String::from_utf8(csv.into_inner()).unwrap();
        let expected = concat!(
            "eventtime,local,eventname,view,n,average,readonly,eventday,useridentity,numbers,word,nothing\n",
            "2026-03-01 16:53:53.000,2026-03-01 16:53:53.000,\"Run\"\"Instances\"\", new\nline\",\"\",-42,1.5,true,",
            "2026-03-01,\"{\"\"type\"\":\"\"IAMUser\"\",\"\"issuer\"\":{\"\"username\"\":\"\"admin\"\"}}\",\"[1,null,3]\",word,\n",
            ",,,,,,,,,,,\n",
        );
        assert_eq!(text, expected);
    }
}
