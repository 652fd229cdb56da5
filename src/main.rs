#[expect(dead_code, unused_imports, reason = "the server that mounts it is not there yet")]
mod api;

fn main() {}
