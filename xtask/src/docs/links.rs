//! Links within the book: to pages, and to headings of pages. Those to other places are not fetched.

use anyhow::Context as _;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Pages beside the book.
const OTHERS: [&str; 3] = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"];

/// The number of pages, and each link that leads nowhere.
pub(super) fn check(root: &Path) -> anyhow::Result<(usize, Vec<String>)> {
    let mut paths: Vec<PathBuf> = OTHERS.iter().map(|name| root.join(name)).collect();
    pages(&root.join("docs"), &mut paths)?;
    let mut found = BTreeMap::new();
    for path in paths {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        found.insert(path, Page::read(&text));
    }
    let mut complaints = Vec::new();
    for (path, page) in &found {
        let name = path.strip_prefix(root).unwrap_or(path).display();
        let complain = |link: &String| {
            let why = fault(root, path, link, &found)?;
            Some(format!("{name}: {link} {why}"))
        };
        complaints.extend(page.links.iter().filter_map(complain));
    }
    Ok((found.len(), complaints))
}

fn pages(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            pages(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    Ok(())
}

/// Why a link leads nowhere, if so.
fn fault(root: &Path, from: &Path, link: &str, pages: &BTreeMap<PathBuf, Page>) -> Option<&'static str> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
    let target =
        if file.is_empty() { from.to_owned() } else { plain(&from.parent().unwrap_or(root).join(file)) };
    let docs = root.join("docs");
    if from.starts_with(&docs) && !target.starts_with(&docs) {
        return Some("leads out of the book");
    }
    let Some(page) = pages.get(&target) else {
        return (!target.exists()).then_some("leads to nothing");
    };
    let missing = heading.is_some_and(|heading| !page.headings.contains(heading));
    missing.then_some("leads to a heading that is not there")
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
        plain
    })
}

struct Page {
    links: Vec<String>,
    headings: BTreeSet<String>,
}

impl Page {
    fn read(text: &str) -> Self {
        let mut page = Self { links: Vec::new(), headings: BTreeSet::new() };
        let mut heading: Option<String> = None;
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    let id = id_of(&heading.take().unwrap_or_default());
                    // The second of the same name is numbered.
                    let taken = (1..).map(|number| format!("{id}-{number}"));
                    let free =
                        std::iter::once(id.clone()).chain(taken).find(|id| !page.headings.contains(id));
                    page.headings.extend(free);
                }
                _ => {}
            }
        }
        page
    }
}

/// The id that mdBook gives a heading.
fn id_of(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|c| match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c.to_ascii_lowercase()),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_have_the_ids_of_mdbook() {
        let page =
            Page::read("# One-way audio: we do not hear\n\n## `[trunks.NAME]`\n\n## Same\n\n## Same\n");
        let expected = ["one-way-audio-we-do-not-hear", "same", "same-1", "trunksname"];
        assert_eq!(page.headings.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn links_that_lead_nowhere_are_told() {
        let folder = std::env::temp_dir().join(format!("outdial-links-{}", std::process::id()));
        fs::create_dir_all(folder.join("docs/a")).unwrap();
        for name in OTHERS {
            fs::write(folder.join(name), "[in](docs/one.md#there)").unwrap();
        }
        let one = "# There\n[self](#there) [up](a/two.md) [web](https://example.com/x)\n\
                   [gone](three.md) [no](#nowhere) [out](../README.md)\n```\n[code](nothing.md)\n```\n";
        fs::write(folder.join("docs/one.md"), one).unwrap();
        fs::write(folder.join("docs/a/two.md"), "[back](../one.md#there) [wrong](../one.md#their)").unwrap();
        let (pages, complaints) = check(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(pages, 5);
        assert_eq!(
            complaints,
            [
                "docs/a/two.md: ../one.md#their leads to a heading that is not there",
                "docs/one.md: three.md leads to nothing",
                "docs/one.md: #nowhere leads to a heading that is not there",
                "docs/one.md: ../README.md leads out of the book",
            ]
        );
    }
}
