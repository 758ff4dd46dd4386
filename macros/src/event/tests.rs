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
    event(
        &[
            ("", STRUCT),
            (r#""order_created""#, STRUCT),
            (r#""order_created", version = 2, exchange = "legacy", crate = my::rabbitry,"#, STRUCT),
            (r#"crate = "my::rabbitry""#, STRUCT),
            ("crate = crate", STRUCT),
            ("", "pub(crate) struct Emptied {}"),
        ],
        &expect![[r#"

                fine
            "order_created"
                fine
            "order_created", version = 2, exchange = "legacy", crate = my::rabbitry,
                fine
            crate = "my::rabbitry"
                fine
            crate = crate
                fine
            () pub(crate) struct Emptied {}
                fine
        "#]],
    );
    payload(
        &[
            ("", "struct Sku(String);"),
            ("", "struct Nothing;"),
            ("", "enum Way { Land, Sea { ship: String }, Air(u8, #[sensitive] String) }"),
            ("crate = my::rabbitry", "struct Page<T> where T: Clone { of: Vec<T> }"),
        ],
        &expect![[r#"
            () struct Sku(String);
                fine
            () struct Nothing;
                fine
            () enum Way { Land, Sea { ship: String }, Air(u8, #[sensitive] String) }
                fine
            (crate = my::rabbitry) struct Page<T> where T: Clone { of: Vec<T> }
                fine
        "#]],
    );
}

#[test]
fn names_obey_the_rules() {
    event(
        &[
            (r#""""#, STRUCT),
            (r#""Order Created""#, STRUCT),
            (r#""order.*""#, STRUCT),
            (r#""amq.order""#, STRUCT),
            ("order_created", STRUCT),
            ("order::created", STRUCT),
            ("3", STRUCT),
            (r#""a", "b""#, STRUCT),
            (r#"name = "a""#, STRUCT),
            ("", "struct Größe {}"),
        ],
        &expect![[r#"
            ""
                event name `` is empty @ ""
            "Order Created"
                event name `Order Created` has `O`: words are made of a-z, 0-9, `_` and `-` @ "Order Created"
            "order.*"
                event name `order.*` has a wildcard, which only a subscription can have @ "order.*"
            "amq.order"
                event name `amq.order` begins with `amq.`, which RabbitMQ keeps for itself @ "amq.order"
            order_created
                `order_created` is no option of `#[event]`: a name is a string literal, `"order_created"`, the options are `version`, `exchange` and `crate` @ order_created
            order::created
                an event's name is a string literal: `#[event("order_created")]` @ order::created
            3
                an event's name is a string literal: `#[event("order_created")]` @ 3
            "a", "b"
                an event has one name: keep one @ "b"
            name = "a"
                the name comes first, without a key: `#[event("order_created")]` @ name
            () struct Größe {}
                the name made of the type's, `größe`, has `ö`: words are made of a-z, 0-9, `_` and `-`; give the event a name: `#[event("its_name")]` @ Größe
        "#]],
    );
}

#[test]
fn options_are_known_and_given_once() {
    event(
        &[
            ("verison = 2", STRUCT),
            ("zebra = 2", STRUCT),
            ("version = 2, version = 3", STRUCT),
            ("version", STRUCT),
            ("version(2)", STRUCT),
            ("version = 0", STRUCT),
            ("version = -1", STRUCT),
            (r#"version = "2""#, STRUCT),
            ("version = 4294967296", STRUCT),
            (r#"exchange = """#, STRUCT),
            ("exchange = legacy", STRUCT),
            ("crate = 3", STRUCT),
            ("version 2", STRUCT),
        ],
        &expect![[r#"
            verison = 2
                unknown option `verison`: did you mean `version`? `#[event]` has `version`, `exchange` and `crate` @ verison
            zebra = 2
                unknown option `zebra`: `#[event]` has `version`, `exchange` and `crate` @ zebra
            version = 2, version = 3
                `version` is given twice: keep one @ version
            version
                write `version = 3` @ version
            version(2)
                write `version = 3` @ version
            version = 0
                `version` is a whole number from 1 to 4294967295 @ 0
            version = -1
                `version` is a whole number from 1 to 4294967295 @ -1
            version = "2"
                `version` is a whole number from 1 to 4294967295 @ "2"
            version = 4294967296
                `version` is a whole number from 1 to 4294967295 @ 4294967296
            exchange = ""
                exchange `` is empty @ ""
            exchange = legacy
                `exchange` is a string literal: `exchange = "…"` @ legacy
            crate = 3
                `crate` is a path: `crate = some::path` @ 3
            version 2
                expected `,` @ 2
        "#]],
    );
    payload(
        &[(r#""name", version = 2"#, "struct Sku(String);")],
        &expect![[r#"
        ("name", version = 2) struct Sku(String);
            `#[payload]` has no name: only events have one @ "name"
            unknown option `version`: the only option of `#[payload]` is `crate` @ version
    "#]],
    );
}

#[test]
fn all_mistakes_of_one_item_are_told_at_once() {
    event(
        &[(
            r#""Order", version = 0, verison = 1"#,
            "#[derive(Debug, Clone)] struct A { #[key] a: u8, #[key] b: &'static str }",
        )],
        &expect![[r#"
            ("Order", version = 0, verison = 1) #[derive(Debug, Clone)] struct A { #[key] a: u8, #[key] b: &'static str }
                event name `Order` has `O`: words are made of a-z, 0-9, `_` and `-` @ "Order"
                `version` is a whole number from 1 to 4294967295 @ 0
                unknown option `verison`: did you mean `version`? `#[event]` has `version`, `exchange` and `crate` @ verison
                an event owns its data, it outlives the message that it came in: `String` instead of `&str`, `Vec` instead of a slice @ &'static str
                `#[event]` derives `Debug` already, one that masks `#[sensitive]` fields: take it out here @ Debug
                an event has one `#[key]`: keep one, or make a field of the two together @ #[key]
        "#]],
    );
}

#[test]
fn an_event_is_a_struct_with_named_fields() {
    event(
        &[
            ("", "enum OrderEvent { Created }"),
            ("", "union Either { a: u8 }"),
            ("", "struct Order(u8);"),
            ("", "struct Order;"),
            ("", "fn order() {}"),
            ("", "trait Order {}"),
            ("", "mod order {}"),
            ("", "impl Order {}"),
            ("", "type Order = u8;"),
            ("", "const ORDER: u8 = 1;"),
            ("", "struct Order { a u8 }"),
        ],
        &expect![[r#"
            () enum OrderEvent { Created }
                an event is a struct: for any of several events use `#[derive(EventSet)]`, for a type that events are made of `#[payload]` @ enum
            () union Either { a: u8 }
                an event is a struct, and JSON knows no unions @ union
            () struct Order(u8);
                an event's fields have names, which its JSON is made of: write `{ name: Type }` @ (u8)
            () struct Order;
                an event's data is a JSON object, to which fields can be added: write `struct Order {}` @ Order
            () fn order() {}
                `#[event]` is for a struct, this is a function: `#[subscribe("…")]` is what makes a function a handler @ fn
            () trait Order {}
                `#[event]` is for a struct, this is a trait @ trait
            () mod order {}
                `#[event]` is for a struct, this is a module @ mod
            () impl Order {}
                `#[event]` is for a struct, this is an impl @ impl
            () type Order = u8;
                `#[event]` is for a struct, this is an alias @ type
            () const ORDER: u8 = 1;
                `#[event]` is for a struct, this is not one @ const ORDER: u8 = 1;
            () struct Order { a u8 }
                expected `:` @ u8
        "#]],
    );
    payload(
        &[("", "union Either { a: u8 }")],
        &expect![[r#"
        () union Either { a: u8 }
            JSON knows no unions: use an enum @ union
    "#]],
    );
}

#[test]
fn an_event_is_neither_generic_nor_borrowed() {
    event(
        &[
            ("", "struct A<T> { a: T }"),
            ("", "struct A<const N: usize> { a: [u8; N] }"),
            ("", "struct A<'a> { a: &'a str }"),
            ("", "struct A<'a> { a: Cow<'a, str> }"),
        ],
        &expect![[r#"
            () struct A<T> { a: T }
                an event has one name and one schema, so it cannot be generic: write one struct for each type, or `#[payload]` for a generic part of an event @ T
            () struct A<const N: usize> { a: [u8; N] }
                an event has one name and one schema, so it cannot be generic: write one struct for each type, or `#[payload]` for a generic part of an event @ const N: usize
            () struct A<'a> { a: &'a str }
                an event owns its data, it outlives the message that it came in: `String` instead of `&str`, `Vec` instead of a slice @ &'a str
            () struct A<'a> { a: Cow<'a, str> }
                an event owns its data, it outlives the message that it came in: `String` instead of `&str`, `Vec` instead of a slice @ 'a
        "#]],
    );
    payload(
        &[("", "struct A { a: &'static str }")],
        &expect![[r#"
        () struct A { a: &'static str }
            a payload owns its data, it outlives the message that it came in: `String` instead of `&str`, `Vec` instead of a slice @ &'static str
    "#]],
    );
}

#[test]
fn what_the_attribute_derives_is_not_derived_again() {
    event(
        &[("", "#[derive(Clone, serde::Serialize, Debug)] struct A {}")],
        &expect![[r#"
        () #[derive(Clone, serde::Serialize, Debug)] struct A {}
            `#[event]` derives `Serialize` already: take it out here @ serde::Serialize
            `#[event]` derives `Debug` already, one that masks `#[sensitive]` fields: take it out here @ Debug
    "#]],
    );
    payload(
        &[("", "#[derive(JsonSchema)] struct A {}")],
        &expect![[r#"
        () #[derive(JsonSchema)] struct A {}
            `#[payload]` derives `JsonSchema` already: take it out here @ JsonSchema
    "#]],
    );
    event(
        &[("", r#"#[event("a")] struct A {}"#), ("", "#[rabbitry::payload] struct A {}")],
        &expect![[r#"
        () #[event("a")] struct A {}
            `#[event]` is given twice: keep one @ #[event("a")]
        () #[rabbitry::payload] struct A {}
            `#[event]` does all that `#[payload]` does: keep one of them @ #[rabbitry::payload]
    "#]],
    );
    payload(
        &[("", "#[event] struct A {}")],
        &expect![[r#"
        () #[event] struct A {}
            `#[event]` does all that `#[payload]` does: keep one of them @ #[event]
    "#]],
    );
    event(
        &[
            ("", "#[serde(transparent)] struct A { a: u8 }"),
            ("", r#"#[serde(rename_all = "camelCase")] struct A { #[serde(default)] a: u8 }"#),
        ],
        &expect![[r#"
            () #[serde(transparent)] struct A { a: u8 }
                an event's data is a JSON object, to which fields can be added: `transparent` is for `#[payload]` @ transparent
            () #[serde(rename_all = "camelCase")] struct A { #[serde(default)] a: u8 }
                fine
        "#]],
    );
}

#[test]
fn fields_are_marked_once_and_with_sense() {
    event(
        &[
            ("", "struct A { #[key] a: u8, #[sensitive] b: u8 }"),
            ("", "struct A { #[key] a: u8, #[key] b: u8 }"),
            ("", "struct A { #[key] #[key] a: u8 }"),
            ("", "struct A { #[key] #[sensitive] a: u8 }"),
            ("", r#"struct A { #[key("x")] a: u8 }"#),
            ("", "struct A { #[sensitive = true] a: u8 }"),
            ("", "struct A { #[keys] a: u8, #[sensible] b: u8 }"),
        ],
        &expect![[r#"
            () struct A { #[key] a: u8, #[sensitive] b: u8 }
                fine
            () struct A { #[key] a: u8, #[key] b: u8 }
                an event has one `#[key]`: keep one, or make a field of the two together @ #[key]
            () struct A { #[key] #[key] a: u8 }
                `#[key]` is given twice: keep one @ #[key]
            () struct A { #[key] #[sensitive] a: u8 }
                a `#[key]` travels in headers and is shown in logs, so it cannot be `#[sensitive]`: choose another key @ #[key]
            () struct A { #[key("x")] a: u8 }
                write `#[key]` alone: it has no arguments @ #[key("x")]
            () struct A { #[sensitive = true] a: u8 }
                write `#[sensitive]` alone: it has no arguments @ #[sensitive = true]
            () struct A { #[keys] a: u8, #[sensible] b: u8 }
                unknown attribute `keys`: did you mean `#[key]`? @ #[keys]
                unknown attribute `sensible`: did you mean `#[sensitive]`? @ #[sensible]
        "#]],
    );
    payload(
        &[("", "struct A { #[key] a: u8 }")],
        &expect![[r#"
        () struct A { #[key] a: u8 }
            `#[key]` is for the fields of an event: only events are ordered by a key @ #[key]
    "#]],
    );
}
