//! What a developer of outdial runs.

fn main() {}
