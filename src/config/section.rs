//! Reads tables key by key, so that each key's problem is told with its line, and all of them at once.
//!
//! The values are read by serde. Only the messages of the TOML library's errors are used: their full text shows the
//! line itself, which can hold a secret that somebody wrote where it does not belong.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::Problem;

/// A text under way to a configuration, with what was found wrong so far.
pub(super) struct Text<'i> {
    source: &'i str,
    problems: RefCell<Vec<Problem>>,
    /// On which line each key was, for checks that run after the reading.
    lines: RefCell<BTreeMap<String, usize>>,
}

impl<'i> Text<'i> {
    pub(super) fn new(source: &'i str) -> Self {
        Self { source, problems: RefCell::default(), lines: RefCell::default() }
    }

    /// The outermost table. Mistakes of syntax are noted, and what could be read in spite of them is returned.
    pub(super) fn root(&self) -> Section<'_, 'i> {
        let (table, errors) = DeTable::parse_recoverable(self.source);
        for error in errors {
            self.note(String::new(), error.span(), error.message());
        }
        Section { text: self, path: String::new(), table: table.into_inner(), known: Vec::new() }
    }

    /// All problems in the order of the text. `more` come from checks that know keys only and get their lines here.
    pub(super) fn into_problems(self, more: Vec<Problem>) -> Vec<Problem> {
        let lines = self.lines.into_inner();
        let mut problems = self.problems.into_inner();
        problems.extend(more.into_iter().map(|mut problem| {
            problem.line = nearest(&lines, &problem.key);
            problem
        }));
        problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        problems
    }

    fn note(&self, key: String, span: Option<Range<usize>>, message: impl Into<String>) {
        let line = span.map(|span| self.line(span.start));
        self.problems.borrow_mut().push(Problem { line, key, message: message.into() });
    }

    fn line(&self, offset: usize) -> usize {
        let before = &self.source.as_bytes()[..offset.min(self.source.len())];
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// The line of a key, or of the innermost of its tables that is there.
fn nearest(lines: &BTreeMap<String, usize>, key: &str) -> Option<usize> {
    let mut key = key;
    loop {
        if let Some(line) = lines.get(key) {
            return Some(*line);
        }
        key = &key[..key.rfind('.')?];
    }
}

/// One table. Take from it what you know, then [`finish`](Self::finish) complains about the rest.
pub(super) struct Section<'t, 'i> {
    text: &'t Text<'i>,
    path: String,
    table: DeTable<'i>,
    known: Vec<&'static str>,
}

impl<'t, 'i> Section<'t, 'i> {
    /// Reads the value of a key, if it is there and right.
    pub(super) fn take<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        let (path, value) = self.remove(key)?;
        let span = value.span();
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(value) => Some(value),
            Err(error) => {
                self.text.note(path, error.span().or(Some(span)), error.message());
                None
            }
        }
    }

    /// Reads the value of a key into a field, which keeps its value if the key is not there or wrong.
    pub(super) fn set<T: DeserializeOwned>(&mut self, key: &'static str, field: &mut T) {
        if let Some(value) = self.take(key) {
            *field = value;
        }
    }

    /// Reads a key that must be there.
    pub(super) fn require<T: DeserializeOwned>(&mut self, key: &'static str, what: &str) -> Option<T> {
        if !self.table.contains_key(key) {
            self.known.push(key);
            let line = self.text.lines.borrow().get(&self.path).copied();
            let problem = Problem { line, key: self.path(key), message: format!("is missing: {what}") };
            self.text.problems.borrow_mut().push(problem);
            return None;
        }
        self.take(key)
    }

    /// Opens a table inside this one.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Section<'t, 'i>> {
        let (path, value) = self.remove(key)?;
        self.open(path, value)
    }

    /// Opens the tables of a table whose keys are names: `[trunks.main]`, `[trunks.backup]`.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<(String, Section<'t, 'i>)> {
        let Some(section) = self.table(key) else { return Vec::new() };
        let Section { text, path, table, .. } = section;
        let mut found = Vec::new();
        for (name, value) in table {
            let span = name.span();
            let name = name.into_inner().into_owned();
            let inner = join(&path, &name);
            text.lines.borrow_mut().insert(inner.clone(), text.line(span.start));
            let here = Section { text, path: path.clone(), table: DeTable::new(), known: Vec::new() };
            found.extend(here.open(inner, value).map(|section| (name, section)));
        }
        found
    }

    /// Opens the tables of a list: `[[…]]`, or `[{ … }, { … }]`.
    pub(super) fn list(&mut self, key: &'static str) -> Vec<Section<'t, 'i>> {
        let Some((path, value)) = self.remove(key) else { return Vec::new() };
        let span = value.span();
        let DeValue::Array(elements) = value.into_inner() else {
            self.text.note(path, Some(span), "must be a list of tables");
            return Vec::new();
        };
        let mut found = Vec::new();
        for (index, element) in elements.into_iter().enumerate() {
            let path = format!("{path}[{index}]");
            self.text.lines.borrow_mut().insert(path.clone(), self.text.line(element.span().start));
            found.extend(self.open(path, element));
        }
        found
    }

    /// Notes a problem with this table as a whole.
    pub(super) fn problem(&self, message: impl Into<String>) {
        let line = self.text.lines.borrow().get(&self.path).copied();
        let problem = Problem { line, key: self.path.clone(), message: message.into() };
        self.text.problems.borrow_mut().push(problem);
    }

    /// Notes each key that nobody asked for, with the one that was probably meant. `hints` are for keys of other
    /// programs whose name says nothing about ours.
    pub(super) fn finish(self, hints: &[(&str, &str)]) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            let hint = hints.iter().find(|(wrong, _)| *wrong == name).map(|(_, right)| (*right).to_owned());
            let guess = || closest(name, &self.known).map(|right| format!("did you mean `{right}`?"));
            let help = hint.or_else(guess).unwrap_or_else(|| format!("known are {}", self.known.join(", ")));
            self.text.note(join(&self.path, name), Some(key.span()), format!("unknown key; {help}"));
        }
    }

    fn remove(&mut self, key: &'static str) -> Option<(String, Spanned<DeValue<'i>>)> {
        self.known.push(key);
        let path = self.path(key);
        let (name, value) = self.table.remove_entry(key)?;
        self.text.lines.borrow_mut().insert(path.clone(), self.text.line(name.span().start));
        Some((path, value))
    }

    fn open(&self, path: String, value: Spanned<DeValue<'i>>) -> Option<Section<'t, 'i>> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Some(Section { text: self.text, path, table, known: Vec::new() }),
            _ => {
                let message = format!("must be a table: [{path}]");
                self.text.note(path, Some(span), message);
                None
            }
        }
    }

    fn path(&self, key: &str) -> String {
        join(&self.path, key)
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The known key that a mistyped one is nearest to, if it is near at all.
pub(super) fn closest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let plain = name.to_lowercase().replace('-', "_");
    known
        .iter()
        .map(|key| (strsim::damerau_levenshtein(&plain, key), *key))
        .filter(|(distance, key)| *distance <= 1 + key.len().min(name.len()) / 4)
        .min()
        .map(|(_, key)| key)
}
