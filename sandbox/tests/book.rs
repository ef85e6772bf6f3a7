//! The table in docs/sandbox.md is the table in the code.

use std::fmt::Write as _;

use outdial_sandbox::Behaviour;

const BEGIN: &str = "do not edit -->\n";
const END: &str = "<!-- end of table -->";

fn table() -> String {
    let (mut text, mut group) = (String::new(), "");
    for behaviour in Behaviour::all() {
        if behaviour.group() != group {
            group = behaviour.group();
            write!(text, "\n### {group}\n\n| Number | Name | What happens | Ends |\n|---|---|---|---|\n")
                .unwrap();
        }
        let (number, name, summary) = (behaviour.number(), behaviour.name(), behaviour.summary());
        writeln!(text, "| {number} | {name} | {summary} | {} |", behaviour.end_reason()).unwrap();
    }
    text.push('\n');
    text
}

#[test]
fn the_book_has_the_table_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sandbox.md");
    let book = std::fs::read_to_string(path).unwrap();
    let (before, rest) = book.split_once(BEGIN).expect("the beginning of the table");
    let (old, after) = rest.split_once(END).expect("the end of the table");
    let new = table();
    if std::env::var_os("OUTDIAL_BLESS").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{new}{END}{after}")).unwrap();
    } else {
        assert!(
            old == new,
            "docs/sandbox.md is stale: OUTDIAL_BLESS=1 cargo test -p outdial-sandbox --test book"
        );
    }
}
