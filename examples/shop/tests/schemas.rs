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
    let stale: Vec<&String> = kept.keys().filter(|name| !shop_names().contains(name)).collect();
    assert!(stale.is_empty(), "nothing in the code makes {stale:?} of schemas/: remove what is gone for good");
    for (name, content) in shop::schemas()? {
        let kept = kept.get(&name).map_or("", String::as_str);
        assert_eq!(kept, content, "schemas/{name} differs from the code; run: cargo run -p shop --bin schemas");
    }
    Ok(())
}

fn shop_names() -> Vec<String> {
    shop::schemas().into_iter().flatten().map(|(name, _)| name).collect()
}
