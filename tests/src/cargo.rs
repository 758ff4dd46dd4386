//! Cargo, as a person calls it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// A cargo command without what the cargo that runs this test says of the test's own package: build scripts that look at
/// such variables would run again, and everything that depends on them.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    forget_the_test(&mut command);
    command
}

/// Takes those variables from a command that will call cargo.
pub fn forget_the_test(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let of_the_test = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_")
                || name.starts_with("CARGO_MANIFEST_")
                || name.starts_with("CARGO_BIN_")
                || matches!(
                    name,
                    "CARGO_CRATE_NAME"
                        | "CARGO_PRIMARY_PACKAGE"
                        | "CARGO_TARGET_TMPDIR"
                        | "OUT_DIR"
                        | "LD_LIBRARY_PATH"
                )
        });
        if of_the_test {
            command.env_remove(name);
        }
    }
}

/// An example's binary. They are built once; a build that is up to date takes no time.
///
/// # Panics
/// They cannot be built.
pub async fn binary(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = tokio::task::spawn_blocking(|| FOLDER.get_or_init(build)).await.expect("the build is waited for");
    folder.join(name)
}

fn build() -> PathBuf {
    let mut build = cargo();
    build.args(["build", "--workspace", "--all-features", "--bins", "--message-format=json"]);
    let output = build.current_dir(env!("CARGO_MANIFEST_DIR")).stderr(Stdio::inherit()).output().expect("cargo runs");
    assert!(output.status.success(), "the examples cannot be built: {}", output.status);
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let executables = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    let orders = executables.into_iter().find(|path| path.file_stem().is_some_and(|name| name == "orders"));
    orders.as_deref().and_then(Path::parent).expect("cargo says where it is").to_owned()
}
