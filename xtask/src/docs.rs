//! `cargo xtask docs`: the book is checked, what it shows is run, and it is built.

mod links;

use crate::run::Step;
use crate::test::FEATURES;
use crate::{root, tools, vendor};
use anyhow::bail;
use std::process::Command;

/// What builds the book: the version with which its pages were looked at.
const MDBOOK: &str = "0.5.4";

/// What a build of the book may leave out.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only check the links, which takes no time
    #[arg(long)]
    links: bool,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    links()?;
    if options.links {
        return Ok(());
    }
    vendor::run()?;
    snippets()?;
    build()
}

/// Whether each link within the book, and from the pages beside it, leads somewhere.
pub(crate) fn links() -> anyhow::Result<()> {
    let (pages, complaints) = links::check(&root())?;
    if !complaints.is_empty() {
        bail!("links that lead nowhere:\n  {}", complaints.join("\n  "));
    }
    println!("links of {pages} pages lead somewhere");
    Ok(())
}

/// Programs are compiled, configurations loaded, commands understood, and those that are marked so run against a sandbox.
fn snippets() -> anyhow::Result<()> {
    // All packages, as the tests do: with others turned on, everything would be compiled anew.
    let test = |arguments: &[&str]| {
        let all = ["test", "--workspace", "--features", FEATURES, "--quiet"];
        Step::cargo(&[&all[..], arguments].concat()).run()
    };
    test(&["--doc"])?;
    test(&["--test", "book"])?;
    test(&["--bins", "book::"])
}

/// Builds it to target/book; installs mdBook first if it is missing, once, which takes a minute or three.
fn build() -> anyhow::Result<()> {
    if mdbook(&["--version"])?
        .output()
        .ok()
        .is_none_or(|(_, text)| text.trim() != format!("mdbook v{MDBOOK}"))
    {
        eprintln!("installing mdBook {MDBOOK}");
        let folder = ["--root".to_owned(), tools::folder()?.display().to_string()];
        // Without optimisation it is compiled in a third of the time, and the book is small.
        let what = ["install", "mdbook", "--version", MDBOOK, "--locked", "--quiet", "--debug", "--force"];
        let search = ["--no-default-features", "--features", "search"];
        Step::cargo(&[&what[..], &search].concat()).arguments(&folder).run()?;
    }
    mdbook(&["build"])?.run()?;
    println!("the book is in {}", root().join("target/book/index.html").display());
    Ok(())
}

fn mdbook(arguments: &[&str]) -> anyhow::Result<Step> {
    // Looked for by ourselves: a program is found by the PATH of whoever starts it, not by its own.
    let ours = tools::folder()?.join("bin/mdbook");
    let mut command = Command::new(if ours.is_file() { ours } else { "mdbook".into() });
    command.current_dir(root()).args(arguments);
    Ok(Step::new(command))
}
