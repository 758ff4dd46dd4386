//! A folder that goes with the demo.

use std::{env, fs, path::PathBuf};

use anyhow::Context;

pub(super) struct Folder(PathBuf);

impl Folder {
    /// A new one, with this name.
    pub(super) fn new(name: &str) -> anyhow::Result<Self> {
        let folder = env::temp_dir().join(name);
        fs::create_dir(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        Ok(Self(folder))
    }

    /// The path of a file in it.
    pub(super) fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in the folder for temporary files does no harm.
        _ = fs::remove_dir_all(&self.0);
    }
}
