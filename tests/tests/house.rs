//! The rules of this house that a test can see.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The modules of the runtime, from the core to the edge: each may use what stands before it.
const LAYERS: [&str; 12] = [
    "time",
    "event",
    "envelope",
    "observe",
    "retry",
    "topology",
    "handler",
    "subscription",
    "transport",
    "management",
    "publisher",
    "consumer",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The code of a file: no comments, and nothing from its tests on.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs")
}

#[test]
fn only_the_amqp_transport_names_lapin() {
    let source = root().join("runtime/src");
    for path in rust_files(&source) {
        if !path.starts_with(source.join("transport/amqp")) {
            assert!(!code(&path).contains("lapin::"), "{} names lapin", path.display());
        }
    }
}

#[test]
fn only_management_names_the_http_client() {
    let source = root().join("runtime/src");
    for path in rust_files(&source) {
        if !path.starts_with(source.join("management")) {
            assert!(!code(&path).contains("ureq::"), "{} names ureq", path.display());
        }
    }
}

#[test]
fn dependencies_point_to_the_core() {
    let source = root().join("runtime/src");
    for (position, layer) in LAYERS.iter().enumerate() {
        let folder = source.join(layer);
        let files = if folder.is_dir() { rust_files(&folder) } else { vec![source.join(format!("{layer}.rs"))] };
        for path in files.iter().filter(|path| !is_test(path)) {
            for used in uses(&code(path)) {
                let above = LAYERS.iter().skip(position + 1).any(|above| *above == used)
                    || used == "service"
                    || used == "operate";
                assert!(!above, "{} uses `{used}`, which stands above `{layer}`", path.display());
            }
        }
    }
}

/// The modules of the crate that a file uses.
fn uses(code: &str) -> Vec<String> {
    let mut used = Vec::new();
    for (position, _) in code.match_indices("crate::") {
        let rest = &code[position + "crate::".len()..];
        match rest.strip_prefix('{') {
            // The names at the first level of the braces.
            Some(list) => {
                let mut depth = 0;
                let mut name = String::new();
                for letter in list.chars() {
                    match letter {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => used.push(std::mem::take(&mut name)),
                        _ if depth == 0 => name.push(letter),
                        _ => {}
                    }
                }
                used.push(name);
            }
            None => used.push(rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()),
        }
    }
    used.iter().filter_map(|name| name.trim().split("::").next()).map(str::to_owned).collect()
}

#[test]
fn the_core_does_no_io_and_holds_no_clock() {
    let source = root().join("runtime/src");
    let files = ["event", "envelope", "topology"].iter().flat_map(|core| rust_files(&source.join(core)));
    for path in files.chain([source.join("retry.rs")]).filter(|path| !is_test(path)) {
        let code = code(&path);
        for forbidden in ["tokio", "std::fs", "std::net", "std::env", "::now()", "fastrand", "tracing"] {
            assert!(!code.contains(forbidden), "{} uses {forbidden}", path.display());
        }
    }
}

#[test]
fn every_scenario_is_in_the_suite() {
    let folder = root().join("runtime/src/testing/conformance");
    let suite = fs::read_to_string(folder.join("suite.rs")).unwrap();
    let listed: Vec<&str> = suite.lines().map(str::trim).collect();
    for path in rust_files(&folder) {
        for line in fs::read_to_string(&path).unwrap().lines() {
            let Some(scenario) = line.strip_prefix("pub async fn ") else { continue };
            let name = scenario.split('(').next().unwrap_or_default();
            assert!(listed.contains(&name), "{}: `{name}` is not in the suite", path.display());
        }
    }
}

#[test]
fn what_the_architecture_names_is_there() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for path in text.split('`').filter(|word| word.contains('/') && !word.contains(' ') && !word.contains('…')) {
        assert!(
            [".", "runtime/src", "tests"].iter().any(|base| root().join(base).join(path).exists()),
            "ARCHITECTURE.md names `{path}`, which is not there"
        );
    }
}

/// What is guaranteed is worth what its tests are.
#[test]
fn each_guarantee_names_tests_that_are_there() {
    let text = fs::read_to_string(root().join("runtime/src/docs/guarantees.md")).unwrap();
    let (promises, rest) = text.split_once("# Promises").unwrap().1.split_once("# Conditions").unwrap();
    let rows: Vec<&str> = promises.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    assert!(rows.len() > 25, "{rows:#?}");
    for row in rows {
        let held_by = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let tests: Vec<&str> = named_tests(held_by).collect();
        assert!(!tests.is_empty(), "no test holds: {row}");
        tests.into_iter().for_each(assert_is_a_test);
    }
    named_tests(rest).for_each(assert_is_a_test);
}

/// What stands in backquotes as `file::test`.
fn named_tests(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|name| {
        name.contains("::") && name.chars().all(|c| c.is_ascii_lowercase() || "_:0123456789".contains(c))
    })
}

fn assert_is_a_test(name: &str) {
    let (file, test) = name.split_once("::").unwrap();
    let path = root().join("tests/tests").join(file).with_extension("rs");
    let code = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {}: {error}", path.display()));
    let is_one = |at: usize| {
        let before = code[..at].trim_end();
        before.ends_with("#[test]")
            || before.lines().last().is_some_and(|line| line.trim().starts_with("#[tokio::test"))
    };
    let of_both = |at: usize| code[at..].lines().next().is_some_and(|line| line.contains("(place: Place)"));
    let function = format!("fn {test}(");
    let mut places = code.match_indices(&function).map(|(at, _)| code[..at].rfind('\n').map_or(0, |at| at + 1));
    assert!(places.any(|at| is_one(at) || (of_both(at) && code.contains("on_both! {"))), "{name} is no test");
}
