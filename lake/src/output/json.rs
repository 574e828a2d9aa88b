//! JSON lines: an object a row, with every column, NULL as `null`.
//!
//! Structs, lists and maps are JSON too, there without members that are NULL. Times are RFC 3339. Columns that hold JSON as
//! text stay text.

use std::io::Write;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Schema;
use arrow::json::EncoderOptions;
use arrow::json::writer::make_encoder;

use super::{Encoder, Failure};

/// Writes JSON lines.
pub(crate) struct Json<W> {
    out: W,
    options: EncoderOptions,
    /// `"name":` of each column.
    names: Vec<Vec<u8>>,
    line: Vec<u8>,
}

impl<W: Write> Json<W> {
    pub(crate) fn new(out: W, schema: &Schema) -> Self {
        let name = |name: &String| {
            let mut text = serde_json::to_vec(name).expect("a text is always JSON");
            text.push(b':');
            text
        };
        let names = schema.fields().iter().map(|field| name(field.name())).collect();
        Self { out, options: EncoderOptions::default(), names, line: Vec::new() }
    }
}

impl<W: Write + Send> Encoder for Json<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let options = self.options.clone();
        let fields = batch.schema_ref().fields().iter();
        let mut columns = fields
            .zip(batch.columns())
            .map(|(field, array)| Ok((array.logical_nulls(), make_encoder(field, array.as_ref(), &options)?)))
            .collect::<Result<Vec<_>, Failure>>()?;
        for row in 0..batch.num_rows() {
            self.line.clear();
            for (index, (name, (nulls, encoder))) in self.names.iter().zip(&mut columns).enumerate() {
                self.line.push(if index == 0 { b'{' } else { b',' });
                self.line.extend_from_slice(name);
                match nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                    true => self.line.extend_from_slice(b"null"),
                    false => encoder.encode(row, &mut self.line),
                }
            }
            self.line.extend_from_slice(if columns.is_empty() { b"{}\n" } else { b"}\n" });
            self.out.write_all(&self.line)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::output::cell::tests::every_kind;

    #[test]
    fn a_line_is_an_object_with_every_column() {
        let batch = every_kind();
        let mut json = Json::new(Vec::new(), batch.schema_ref());
        json.write(&batch).unwrap();
        let text = String::from_utf8(json.out).unwrap();
        let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expected = json!({
            "eventtime": "2026-03-01T16:53:53Z", "local": "2026-03-01T16:53:53",
            "eventname": "Run\"Instances\", new\nline", "view": "", "n": -42, "average": 1.5, "readonly": true,
            "eventday": "2026-03-01", "useridentity": {"type": "IAMUser", "issuer": {"username": "admin"}},
            "numbers": [1, null, 3], "word": "word", "nothing": null,
        });
        assert_eq!(rows[0], expected);
        assert!(rows[1].as_object().unwrap().values().all(Value::is_null), "{text}");
        assert_eq!(rows[1].as_object().unwrap().len(), batch.num_columns());
    }
}
