//! Writes `schemas/`: `cargo run -p shop --bin schemas`.

use std::{fs, path::Path};

fn main() -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    for (name, content) in shop::schemas()? {
        fs::write(folder.join(&name), content)?;
        println!("schemas/{name}");
    }
    Ok(())
}
