//! Finds the rows of a report in JSON while it comes: `{"Report_Entry":[{…},{…}]}`.

/// Most bytes of one row.
const ROW_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How deep a row may be.
const DEPTH_MAX: usize = 64;
const KEY: &[u8] = b"Report_Entry";

/// Where the reading is.
#[derive(Debug, Default)]
pub(super) struct Rows {
    depth: usize,
    begun: bool,
    ended: bool,
    in_text: bool,
    escaped: bool,
    /// The last text of the outer record: a key, when a colon comes next.
    key: Vec<u8>,
    /// Inside the list of rows.
    in_rows: bool,
    row: Vec<u8>,
    /// A mark at the very beginning is passed over.
    mark: usize,
}

const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

impl Rows {
    /// Takes the next bytes and gives the rows that ended in them.
    pub(super) fn feed(&mut self, bytes: &[u8], found: &mut Vec<Vec<u8>>) -> Result<(), &'static str> {
        for byte in bytes {
            if !self.begun && self.mark < MARK.len() && *byte == MARK[self.mark] {
                self.mark += 1;
                continue;
            }
            self.byte(*byte, found)?;
        }
        Ok(())
    }

    /// Says whether the report was whole.
    pub(super) fn finish(&self) -> Result<(), &'static str> {
        if self.ended { Ok(()) } else { Err("it ends before its end") }
    }

    fn byte(&mut self, byte: u8, found: &mut Vec<Vec<u8>>) -> Result<(), &'static str> {
        if self.in_rows && self.depth >= 3 {
            self.row.push(byte);
            if self.row.len() > ROW_BYTES_MAX {
                return Err("a row is too long");
            }
        }
        if self.in_text {
            return self.text(byte);
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => Ok(()),
            _ if self.ended => Err("something follows its end"),
            b'{' if !self.begun => {
                (self.begun, self.depth) = (true, 1);
                Ok(())
            }
            _ if !self.begun => Err("it is no JSON, perhaps a page of a gateway"),
            b'"' => {
                self.in_text = true;
                if self.depth == 1 {
                    self.key.clear();
                }
                Ok(())
            }
            b'{' | b'[' => self.open(byte),
            b'}' | b']' => self.close(byte, found),
            _ => Ok(()),
        }
    }

    fn text(&mut self, byte: u8) -> Result<(), &'static str> {
        if self.escaped {
            self.escaped = false;
        } else if byte == b'\\' {
            self.escaped = true;
        } else if byte == b'"' {
            self.in_text = false;
        } else if self.depth == 1 && self.key.len() < 100 {
            self.key.push(byte);
        }
        Ok(())
    }

    fn open(&mut self, byte: u8) -> Result<(), &'static str> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("it is nested too deep");
        }
        if self.depth == 2 && byte == b'[' && self.key == KEY {
            self.in_rows = true;
        } else if self.in_rows && self.depth == 3 {
            if byte != b'{' {
                return Err("a row is no record");
            }
            self.row = vec![byte];
        }
        Ok(())
    }

    fn close(&mut self, byte: u8, found: &mut Vec<Vec<u8>>) -> Result<(), &'static str> {
        self.depth -= 1;
        match self.depth {
            2 if self.in_rows => found.push(std::mem::take(&mut self.row)),
            1 => self.in_rows = false,
            0 => {
                self.ended = true;
                if byte != b'}' {
                    return Err("its brackets do not fit");
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Rows;

    /// The rows of a text that comes in pieces of every length.
    fn rows(text: &str) -> Result<Vec<String>, &'static str> {
        let mut all = Vec::new();
        for length in 1..=text.len().max(1) {
            let (mut reading, mut found) = (Rows::default(), Vec::new());
            for piece in text.as_bytes().chunks(length) {
                reading.feed(piece, &mut found)?;
            }
            reading.finish()?;
            let found: Vec<String> = found.into_iter().map(|row| String::from_utf8(row).unwrap()).collect();
            assert!(all.is_empty() || all == found, "pieces of {length}");
            all = found;
        }
        Ok(all)
    }

    #[test]
    fn rows_are_found_however_they_come() {
        let text = "\u{feff} {\"x\":[{\"Report_Entry\":[1]}], \"Report_Entry\" : [ {\"a\":\"]}\\\"{\",\"b\":[{\"c\":{}}]} , {\"é\":1}]} \n";
        assert_eq!(rows(text).unwrap(), ["{\"a\":\"]}\\\"{\",\"b\":[{\"c\":{}}]}", "{\"é\":1}"]);
        assert_eq!(rows("{\"Report_Entry\":[]}").unwrap(), [""; 0]);
        assert_eq!(rows("{}").unwrap(), [""; 0], "the key may be missing");
    }

    #[test]
    fn what_is_broken_is_no_report() {
        for text in ["", "<html>", "{\"Report_Entry\":[{\"a\":1},", "{} <!-- proxy -->", "[{}]", "{\"Report_Entry\":[[1]]}", "{]"]
        {
            assert!(rows(text).is_err(), "{text}");
        }
        assert!(rows(&format!("{{\"a\":{}", "[".repeat(100))).is_err());
    }
}
