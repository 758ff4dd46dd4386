//! `schemas/` is what the code says.

use std::{collections::BTreeMap, fs, path::Path};

#[test]
fn schemas_are_up_to_date() -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let mut kept = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        kept.insert(entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path())?);
    }
    for (name, content) in shop::schemas()? {
        let kept = kept.remove(&name);
        let same = kept.is_some_and(|kept| kept == content);
        assert!(same, "schemas/{name} differs from the code; run: cargo run -p shop --bin schemas");
    }
    let stale: Vec<_> = kept.keys().collect();
    assert!(stale.is_empty(), "nothing in the code makes {stale:?} of schemas/: remove what is gone for good");
    Ok(())
}
