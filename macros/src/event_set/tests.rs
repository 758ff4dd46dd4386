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
    check(
        &[
            "enum OrderEvent { Created(OrderCreated), Cancelled(events::OrderCancelled) }",
            "#[event_set(crate = my::rabbitry)] enum OrderEvent { Created(OrderCreated) }",
        ],
        &expect![[r#"
            enum OrderEvent { Created(OrderCreated), Cancelled(events::OrderCancelled) }
                fine
            #[event_set(crate = my::rabbitry)] enum OrderEvent { Created(OrderCreated) }
                fine
        "#]],
    );
}

#[test]
fn a_set_is_an_enum() {
    check(
        &[
            "struct OrderEvent { a: OrderCreated }",
            "union OrderEvent { a: OrderCreated }",
            "enum OrderEvent {}",
            "enum OrderEvent<T> { A(T) }",
        ],
        &expect![[r#"
            struct OrderEvent { a: OrderCreated }
                an `EventSet` is an enum of events, this is a struct: a struct becomes an event with `#[event("its_name")]`, which is a set of one @ struct
            union OrderEvent { a: OrderCreated }
                an `EventSet` is an enum of events, this is a union: a struct becomes an event with `#[event("its_name")]`, which is a set of one @ union
            enum OrderEvent {}
                a set of no events: add a variant that holds one, `Created(OrderCreated)` @ OrderEvent
            enum OrderEvent<T> { A(T) }
                a set's events are known by name, so it cannot be generic: write the events out @ <T>
        "#]],
    );
}

#[test]
fn each_variant_holds_one_event() {
    check(
        &["enum E { A, B(), C(A, B), D { a: A }, F(A) }"],
        &expect![[r#"
        enum E { A, B(), C(A, B), D { a: A }, F(A) }
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
        &[
            "#[event_set(carte = a)] enum E { A(A) }",
            r#"#[event_set("a")] enum E { A(A) }"#,
            "#[event_set(crate = a, crate = b)] enum E { A(A) }",
            "#[event_set] enum E { A(A) }",
        ],
        &expect![[r##"
            #[event_set(carte = a)] enum E { A(A) }
                unknown option `carte`: did you mean `crate`? the only option of `#[event_set]` is `crate` @ carte
            #[event_set("a")] enum E { A(A) }
                write `#[event_set(crate = some::path)]` @ "a"
            #[event_set(crate = a, crate = b)] enum E { A(A) }
                `crate` is given twice: keep one @ crate
            #[event_set] enum E { A(A) }
                expected attribute arguments in parentheses: #[event_set(...)] @ event_set
        "##]],
    );
}
