//! The tool `outdial`.

fn main() {}
