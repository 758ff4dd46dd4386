//! What the compiler says about mistakes: one error each, at the user's own words, with the cure.
//!
//! The texts are those of Rust 1.95. `TRYBUILD=overwrite` writes them anew; read what changed.

#[test]
fn mistakes_are_told_where_they_are() {
    trybuild::TestCases::new().compile_fail("ui/*/*.rs");
}
