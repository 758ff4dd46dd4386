use expect_test::{Expect, expect};

use super::expand;
use crate::testing;

#[track_caller]
fn check(items: &[&str], expected: &Expect) {
    let told = items.iter().map(|item| ((*item).to_owned(), expand(testing::tokens(item))));
    expected.assert_eq(&testing::told(told));
}

#[test]
fn an_enum_of_events_is_a_set() {
    check(&["enum OrderEvent { Created(OrderCreated), Cancelled(events::OrderCancelled) }", "#[event_set(crate = my::rabbitry)] enum OrderEvent { Created(OrderCreated) }"], &expect![[""]]);
}

#[test]
fn a_set_is_an_enum() {
    check(&["struct OrderEvent { a: OrderCreated }", "union OrderEvent { a: OrderCreated }", "enum OrderEvent {}", "enum OrderEvent<T> { A(T) }"], &expect![[""]]);
}

#[test]
fn each_variant_holds_one_event() {
    check(&["enum E { A, B(), C(A, B), D { a: A }, F(A) }"], &expect![[""]]);
}

#[test]
fn its_attribute_has_one_option() {
    check(&["#[event_set(carte = a)] enum E { A(A) }", r#"#[event_set("a")] enum E { A(A) }"#, "#[event_set(crate = a, crate = b)] enum E { A(A) }", "#[event_set] enum E { A(A) }"], &expect![[""]]);
}
