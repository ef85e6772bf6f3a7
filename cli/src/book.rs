//! Every command of this tool that the book shows is one that it understands.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use clap::error::ErrorKind;

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The command lines of a page: lines after a prompt in `console` blocks, all lines of `sh` blocks, and whatever stands in
/// the text as code and begins like a command. Of each, whether it is one to be typed, or only a name in a sentence.
fn lines(text: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let mut language: Option<String> = None;
    for line in text.lines() {
        if let Some(info) = line.strip_prefix("```") {
            language = if language.is_some() {
                None
            } else {
                Some(info.split(',').next().unwrap_or_default().to_owned())
            };
            continue;
        }
        match language.as_deref() {
            Some("console") => found.extend(line.strip_prefix("$ ").map(|line| (line.to_owned(), true))),
            Some("sh") => found.push((line.to_owned(), true)),
            Some(_) => {}
            None => {
                let code = line.split('`').skip(1).step_by(2);
                // Two words and more: `outdial` alone is the name of the tool.
                let named = code.filter(|code| code.starts_with("outdial "));
                found.extend(named.map(|code| (code.to_owned(), false)));
            }
        }
    }
    found
}

/// The arguments of this tool in a line, one list for each time that it is run.
fn commands(line: &str) -> Vec<Vec<String>> {
    let line = line
        .replace("$number", "+12025550101")
        .replace(" NUMBER", " +12025550101")
        .replace("cargo run -p outdial-cli --", "outdial");
    let words = shlex::split(&line).unwrap_or_else(|| panic!("unbalanced quotes: {line}"));
    let mut found = Vec::new();
    for command in
        words.split(|word| matches!(word.as_str(), "|" | "||" | "&&" | ";" | "if" | "then" | "sudo"))
    {
        let end = command.iter().position(|word| word.starts_with(['>', '<']) || word.starts_with("2>"));
        let command = &command[..end.unwrap_or(command.len())];
        let assignments =
            command.iter().take_while(|word| word.contains('=') && !word.starts_with('-')).count();
        if command.get(assignments).is_some_and(|name| name == "outdial") {
            found.push(command[assignments..].to_vec());
        }
    }
    found
}

/// A sentence may name a command without what belongs to it.
fn is_incomplete(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::InvalidValue
    )
}

#[test]
fn every_command_in_the_book_is_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = vec![root.join("README.md")];
    pages(&root.join("docs"), &mut found);
    let (mut understood, mut wrong) = (0, Vec::new());
    for page in found {
        let text = fs::read_to_string(&page).unwrap();
        for (line, typed) in lines(&text) {
            for command in commands(&line) {
                match crate::Arguments::try_parse_from(&command) {
                    Ok(_) => understood += 1,
                    Err(error) if !error.use_stderr() || !typed && is_incomplete(error.kind()) => {
                        understood += 1
                    }
                    Err(error) => wrong.push(format!("{}: {}\n{error}", page.display(), command.join(" "))),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(understood > 20, "the book's commands were not found: {understood}");
}
