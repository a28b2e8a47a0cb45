//! Cells that a spreadsheet would take for formulas, and compute: an e-mail may begin with `=`.

/// What formulas begin with; the last four are the same on Asian keyboards.
const BEGINNINGS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// The cell, with a `'` before it if it could be a formula; also if [`unmarked`] would take one away.
pub fn marked(cell: &str) -> String {
    if may_be_one(cell) { format!("'{cell}") } else { cell.into() }
}

/// What was [`marked`].
pub fn unmarked(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| may_be_one(rest)).unwrap_or(cell)
}

fn may_be_one(cell: &str) -> bool {
    cell.trim_start_matches('\'').starts_with(BEGINNINGS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_all_come_back() {
        for (cell, expected) in [
            ("a=b", "a=b"),
            ("", ""),
            ("'", "'"),
            ("'a@b", "'a@b"),
            ("=1@b", "'=1@b"),
            ("+1@b", "'+1@b"),
            ("-1@b", "'-1@b"),
            ("@b", "'@b"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            ("＝1", "'＝1"),
            ("'=1@b", "''=1@b"),
            ("''=1@b", "'''=1@b"),
        ] {
            assert_eq!((marked(cell).as_str(), unmarked(expected)), (expected, cell));
        }
    }
}
