use expect_test::{Expect, expect};

use super::{Kind, expand};
use crate::testing;

/// Arguments and items under `#[event]`.
#[track_caller]
fn event(cases: &[(&str, &str)], expected: &Expect) {
    check(Kind::Event, cases, expected);
}

/// Arguments and items under `#[payload]`.
#[track_caller]
fn payload(cases: &[(&str, &str)], expected: &Expect) {
    check(Kind::Payload, cases, expected);
}

#[track_caller]
fn check(kind: Kind, cases: &[(&str, &str)], expected: &Expect) {
    let told = cases.iter().map(|(arguments, item)| {
        let shown = if *item == STRUCT { (*arguments).to_owned() } else { format!("({arguments}) {item}") };
        (shown, expand(kind, testing::tokens(arguments), &testing::tokens(item)))
    });
    expected.assert_eq(&testing::told(told));
}

const STRUCT: &str = "struct OrderCreated { order_id: i64 }";

#[test]
fn arguments_that_are_right_are_no_mistake() {
    event(&[("", STRUCT), (r#""order_created""#, STRUCT), (r#""order_created", version = 2, exchange = "legacy", crate = my::rabbitry,"#, STRUCT), (r#"crate = "my::rabbitry""#, STRUCT), ("crate = crate", STRUCT), ("", "pub(crate) struct Emptied {}")], &expect![[""]]);
    payload(&[("", "struct Sku(String);"), ("", "struct Nothing;"), ("", "enum Way { Land, Sea { ship: String }, Air(u8, #[sensitive] String) }"), ("crate = my::rabbitry", "struct Page<T> where T: Clone { of: Vec<T> }")], &expect![[""]]);
}

#[test]
fn names_obey_the_rules() {
    event(&[(r#""""#, STRUCT), (r#""Order Created""#, STRUCT), (r#""order.*""#, STRUCT), (r#""amq.order""#, STRUCT), ("order_created", STRUCT), ("order::created", STRUCT), ("3", STRUCT), (r#""a", "b""#, STRUCT), (r#"name = "a""#, STRUCT), ("", "struct Größe {}")], &expect![[""]]);
}

#[test]
fn options_are_known_and_given_once() {
    event(&[("verison = 2", STRUCT), ("zebra = 2", STRUCT), ("version = 2, version = 3", STRUCT), ("version", STRUCT), ("version(2)", STRUCT), ("version = 0", STRUCT), ("version = -1", STRUCT), (r#"version = "2""#, STRUCT), ("version = 4294967296", STRUCT), (r#"exchange = """#, STRUCT), ("exchange = legacy", STRUCT), ("crate = 3", STRUCT), ("version 2", STRUCT)], &expect![[""]]);
    payload(&[(r#""name", version = 2"#, "struct Sku(String);")], &expect![[""]]);
}

#[test]
fn all_mistakes_of_one_item_are_told_at_once() {
    event(&[(r#""Order", version = 0, verison = 1"#, "#[derive(Debug, Clone)] struct A { #[key] a: u8, #[key] b: &'static str }")], &expect![[""]]);
}

#[test]
fn an_event_is_a_struct_with_named_fields() {
    event(&[("", "enum OrderEvent { Created }"), ("", "union Either { a: u8 }"), ("", "struct Order(u8);"), ("", "struct Order;"), ("", "fn order() {}"), ("", "trait Order {}"), ("", "mod order {}"), ("", "impl Order {}"), ("", "type Order = u8;"), ("", "const ORDER: u8 = 1;"), ("", "struct Order { a u8 }")], &expect![[""]]);
    payload(&[("", "union Either { a: u8 }")], &expect![[""]]);
}

#[test]
fn an_event_is_neither_generic_nor_borrowed() {
    event(&[("", "struct A<T> { a: T }"), ("", "struct A<const N: usize> { a: [u8; N] }"), ("", "struct A<'a> { a: &'a str }"), ("", "struct A<'a> { a: Cow<'a, str> }")], &expect![[""]]);
    payload(&[("", "struct A { a: &'static str }")], &expect![[""]]);
}

#[test]
fn what_the_attribute_derives_is_not_derived_again() {
    event(&[("", "#[derive(Clone, serde::Serialize, Debug)] struct A {}")], &expect![[""]]);
    payload(&[("", "#[derive(JsonSchema)] struct A {}")], &expect![[""]]);
    event(&[("", r#"#[event("a")] struct A {}"#), ("", "#[rabbitry::payload] struct A {}")], &expect![[""]]);
    payload(&[("", "#[event] struct A {}")], &expect![[""]]);
    event(&[("", "#[serde(transparent)] struct A { a: u8 }"), ("", r#"#[serde(rename_all = "camelCase")] struct A { #[serde(default)] a: u8 }"#)], &expect![[""]]);
}

#[test]
fn fields_are_marked_once_and_with_sense() {
    event(&[("", "struct A { #[key] a: u8, #[sensitive] b: u8 }"), ("", "struct A { #[key] a: u8, #[key] b: u8 }"), ("", "struct A { #[key] #[key] a: u8 }"), ("", "struct A { #[key] #[sensitive] a: u8 }"), ("", r#"struct A { #[key("x")] a: u8 }"#), ("", "struct A { #[sensitive = true] a: u8 }"), ("", "struct A { #[keys] a: u8, #[sensible] b: u8 }")], &expect![[""]]);
    payload(&[("", "struct A { #[key] a: u8 }")], &expect![[""]]);
}
