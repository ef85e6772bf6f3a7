//! `outdial sandbox --list`

mod common;

use common::{expect_exit, json_lines, run};

#[test]
fn the_list_is_for_people_and_for_programs() {
    let output = run(&["sandbox", "--list"]);
    expect_exit(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.lines().any(|line| line.contains("+12025550102") && line.contains("486 Busy Here")),
        "{text}"
    );
    let rows = json_lines(&run(&["sandbox", "--list", "--json"]));
    assert_eq!(rows.len(), 100);
    assert!(rows.iter().all(|row| ["number", "name", "ends", "what"].iter().all(|key| row[key].is_string())));
}

#[test]
fn a_sandbox_that_listens_nowhere_is_refused() {
    let output = run(&["sandbox", "--udp", "off", "--tcp", "off", "--tls", "off"]);
    expect_exit(&output, 1);
}
