use expect_test::{Expect, expect};

use super::expand;
use crate::testing;

#[track_caller]
fn check(item: &str, expected: &Expect) {
    expected.assert_eq(&testing::errors(&expand(testing::tokens(item))));
}

#[test]
fn an_enum_of_events_is_a_set() {
    check("enum OrderEvent { Created(OrderCreated), Cancelled(events::OrderCancelled) }", &expect![[""]]);
    check("#[event_set(crate = my::rabbitry)] enum OrderEvent { Created(OrderCreated) }", &expect![[""]]);
}

#[test]
fn a_set_is_an_enum() {
    check(
        "struct OrderEvent { a: OrderCreated }",
        &expect![[r#"
        an `EventSet` is an enum of events, this is a struct: a struct becomes an event with `#[event("its_name")]`, which is a set of one @ struct
    "#]],
    );
    check(
        "union OrderEvent { a: OrderCreated }",
        &expect![[r#"
        an `EventSet` is an enum of events, this is a union: a struct becomes an event with `#[event("its_name")]`, which is a set of one @ union
    "#]],
    );
    check(
        "enum OrderEvent {}",
        &expect![[r#"
        a set of no events: add a variant that holds one, `Created(OrderCreated)` @ OrderEvent
    "#]],
    );
    check(
        "enum OrderEvent<T> { A(T) }",
        &expect![[r#"
        a set's events are known by name, so it cannot be generic: write the events out @ <T>
    "#]],
    );
}

#[test]
fn each_variant_holds_one_event() {
    check(
        "enum E { A, B(), C(A, B), D { a: A }, F(A) }",
        &expect![[r#"
        each variant of an `EventSet` holds one event: `A(TheEvent)` @ A
        each variant of an `EventSet` holds one event: `B(TheEvent)` @ ()
        each variant of an `EventSet` holds one event: `C(TheEvent)` @ (A, B)
        each variant of an `EventSet` holds one event: `D(TheEvent)` @ { a: A }
    "#]],
    );
}

#[test]
fn its_attribute_has_one_option() {
    check(
        "#[event_set(carte = a)] enum E { A(A) }",
        &expect![[r#"
        unknown option `carte`: did you mean `crate`? the only option of #[event_set] is `crate` @ carte
    "#]],
    );
    check(
        "#[event_set(\"a\")] enum E { A(A) }",
        &expect![[r#"
        write `#[event_set(crate = some::path)]` @ "a"
    "#]],
    );
    check(
        "#[event_set(crate = a, crate = b)] enum E { A(A) }",
        &expect![[r#"
        `crate` is given twice: keep one @ crate
    "#]],
    );
    check(
        "#[event_set] enum E { A(A) }",
        &expect![[r#"
        expected attribute arguments in parentheses: #[event_set(...)] @ event_set
    "#]],
    );
}
