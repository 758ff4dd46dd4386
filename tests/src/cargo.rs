//! Cargo, as a person calls it.

use std::process::Command;

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
