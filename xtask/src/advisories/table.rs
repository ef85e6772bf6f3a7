//! Rows of docs/security/pjproject.md.

use anyhow::Context;

/// One row: an entry of the list of flaws, or a part of one.
#[derive(Debug)]
pub(crate) struct Row {
    /// Number of the entry; a row without one continues the entry above it.
    pub(crate) entry: u32,
    title: String,
    pub(crate) decision: String,
    /// Names of patches, without `.patch`.
    pub(crate) patches: Vec<String>,
    pub(crate) tested: Tested,
    /// What the tests do without the patch.
    pub(crate) fails_without: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tested {
    By(Vec<Test>),
    /// There can be none, for the reason that is given.
    Not,
    /// One is owed.
    Owed,
}

/// ``file: `name` ``
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Test {
    file: String,
    /// May end in `…`, which stands for the rest.
    pub(crate) name: String,
}

impl Row {
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.entry, self.title).trim_end().to_owned()
    }
}

impl Test {
    /// From the workspace's folder. A file without a folder is one of pjsip-sys.
    pub(crate) fn path(&self) -> String {
        let folder = if self.file.contains('/') { "" } else { "pjsip-sys/tests/" };
        format!("{folder}{}.rs", self.file)
    }

    /// The file, if it is one of this package.
    pub(crate) fn of(&self, package: &str) -> Option<&str> {
        match (package, self.file.split_once('/')) {
            ("pjsip-sys", None) => Some(&self.file),
            ("outdial", Some(("tests", file))) => Some(file),
            _ => None,
        }
    }

    pub(crate) fn is_in(&self, source: &str) -> bool {
        match self.name.strip_suffix('…') {
            Some(start) => source.contains(&format!("fn {start}")),
            None => source.contains(&format!("fn {}()", self.name)),
        }
    }
}

/// The rows of all tables in a Markdown text that have the six columns of this one.
pub(crate) fn rows(text: &str) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<_> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let [entry, _, decision, patches, test, fails_without] = cells[..] else {
            anyhow::bail!("not six columns: {line}");
        };
        if entry == "Entry" || entry.starts_with("---") {
            continue;
        }
        let (entry, title) = match entry.split_once(' ').unwrap_or((entry, "")) {
            ("", _) => (rows.last().context("the first row has no entry")?.entry, patches),
            (number, title) => (number.parse().with_context(|| format!("no number: {line}"))?, title),
        };
        rows.push(Row {
            entry,
            title: title.to_owned(),
            decision: decision.to_owned(),
            patches: patches
                .split([',', ';', ' '])
                .filter(|&word| is_patch(word))
                .map(str::to_owned)
                .collect(),
            tested: tested(test),
            fails_without: fails_without.to_owned(),
        });
    }
    Ok(rows)
}

/// The entry that a patch's number stands for: ten times it, and more for its further patches.
pub(crate) fn entry_of(patch: &str) -> Option<u32> {
    patch.get(..4)?.parse::<u32>().ok().map(|number| number / 10)
}

/// `0070-name`
fn is_patch(word: &str) -> bool {
    word.as_bytes().get(4) == Some(&b'-') && word.len() > 5 && entry_of(word).is_some()
}

fn tested(cell: &str) -> Tested {
    let mut tests = Vec::new();
    let mut file = "";
    for (number, piece) in cell.split('`').enumerate() {
        if number % 2 == 1 {
            tests.push(Test { file: file.to_owned(), name: piece.to_owned() });
        } else if let Some((before, _)) = piece.rsplit_once(':') {
            // "…; file: " names the file of the tests behind it, ", " keeps it.
            file = before.rsplit([' ', ';']).next().unwrap_or_default();
        }
    }
    if cell.contains("no test yet") {
        Tested::Owed
    } else if !tests.is_empty() {
        Tested::By(tests)
    } else if cell.strip_prefix("no test: ").is_some_and(|reason| !reason.is_empty()) {
        Tested::Not
    } else {
        Tested::Owed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(file: &str, name: &str) -> Test {
        Test { file: file.to_owned(), name: name.to_owned() }
    }

    #[test]
    fn a_row_has_its_parts() {
        let text = "# Title\n\n| Entry | Advisory | Decision | Patch or setting | Test | Fails without it |\n\
                    |---|---|---|---|---|---|\n\
                    | 2 A `b` | x | patched; set so | 0020-a (UDP), 0021-b-c; `no_vad` | f: `t` | yes |\n\
                    | | y | patched | 0022-d | no test yet | – |\n";
        let rows = rows(text).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].entry, rows[0].name().as_str()), (2, "2 A `b`"));
        assert_eq!(rows[0].patches, ["0020-a", "0021-b-c"]);
        assert_eq!(rows[0].tested, Tested::By(vec![test("f", "t")]));
        assert_eq!((rows[1].entry, rows[1].tested == Tested::Owed), (2, true));
    }

    #[test]
    fn tests_are_found_in_prose() {
        let by = |cell| match tested(cell) {
            Tested::By(tests) => tests,
            other => panic!("{other:?}"),
        };
        let expected = [test("sdp_neg", "a_…"), test("sdp_neg", "b"), test("tests/x", "c")];
        assert_eq!(by("sdp_neg: `a_…`, `b`; tests/x: `c` (with ASan)"), expected);
        assert_eq!(tested("no test: TSan"), Tested::Not);
        for owed in ["no test yet: live", "f: `t`; 3xx: no test yet", "–", "", "no test: "] {
            assert_eq!(tested(owed), Tested::Owed, "{owed:?}");
        }
    }

    #[test]
    fn a_test_is_looked_for_by_its_name() {
        let source = "#[test]\nfn one_and_two() {}\n";
        assert!(test("f", "one_and_two").is_in(source));
        assert!(test("f", "one_…").is_in(source));
        assert!(!test("f", "one").is_in(source));
        assert_eq!(test("f", "x").path(), "pjsip-sys/tests/f.rs");
        assert_eq!(test("tests/f", "x").path(), "tests/f.rs");
        assert_eq!((test("f", "x").of("pjsip-sys"), test("f", "x").of("outdial")), (Some("f"), None));
        assert_eq!(
            (test("tests/f", "x").of("pjsip-sys"), test("tests/f", "x").of("outdial")),
            (None, Some("f"))
        );
    }

    #[test]
    fn rows_that_do_not_fit_are_refused() {
        assert!(rows("| 1 a | b |\n").is_err());
        assert!(rows("| x | a | b | c | d | e |\n").is_err());
        assert!(rows("| | a | b | c | d | e |\n").is_err());
    }
}
