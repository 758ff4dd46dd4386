use expect_test::{Expect, expect};

use super::{Kind, expand};
use crate::testing;

#[track_caller]
fn event(arguments: &str, item: &str, expected: &Expect) {
    expected.assert_eq(&testing::errors(&expand(Kind::Event, testing::tokens(arguments), &testing::tokens(item))));
}

#[track_caller]
fn payload(arguments: &str, item: &str, expected: &Expect) {
    expected.assert_eq(&testing::errors(&expand(Kind::Payload, testing::tokens(arguments), &testing::tokens(item))));
}

const STRUCT: &str = "struct OrderCreated { order_id: i64 }";

#[test]
fn arguments_that_are_right_are_no_mistake() {
    event("", STRUCT, &expect![[""]]);
    event("\"order_created\"", STRUCT, &expect![[""]]);
    event("\"order_created\", version = 2, exchange = \"legacy\", crate = my::rabbitry,", STRUCT, &expect![[""]]);
    event("crate = \"my::rabbitry\"", STRUCT, &expect![[""]]);
    event("crate = crate", STRUCT, &expect![[""]]);
    event("", "pub(crate) struct Emptied {}", &expect![[""]]);
    payload("", "struct Sku(String);", &expect![[""]]);
    payload("", "struct Nothing;", &expect![[""]]);
    payload("", "enum Way { Land, Sea { ship: String }, Air(u8, #[sensitive] String) }", &expect![[""]]);
    payload("crate = my::rabbitry", "struct Page<T> where T: Clone { of: Vec<T> }", &expect![[""]]);
}

#[test]
fn names_obey_the_rules() {
    event(
        "\"\"",
        STRUCT,
        &expect![[r#"
        event name `` is empty @ ""
    "#]],
    );
    event(
        "\"Order Created\"",
        STRUCT,
        &expect![[r#"
        event name `Order Created` has `O`: words are made of a-z, 0-9, `_` and `-` @ "Order Created"
    "#]],
    );
    event(
        "\"order.*\"",
        STRUCT,
        &expect![[r#"
        event name `order.*` has a wildcard, which only a subscription can have @ "order.*"
    "#]],
    );
    event(
        "\"amq.order\"",
        STRUCT,
        &expect![[r#"
        event name `amq.order` begins with `amq.`, which RabbitMQ keeps for itself @ "amq.order"
    "#]],
    );
    event(
        "order_created",
        STRUCT,
        &expect![[r#"
        `order_created` is no option of #[event]: a name is a string literal, `"order_created"`, the options are `version`, `exchange` and `crate` @ order_created
    "#]],
    );
    event(
        "order::created",
        STRUCT,
        &expect![[r#"
        an event's name is a string literal: `#[event("order_created")]` @ order::created
    "#]],
    );
    event(
        "3",
        STRUCT,
        &expect![[r#"
        an event's name is a string literal: `#[event("order_created")]` @ 3
    "#]],
    );
    event(
        "\"a\", \"b\"",
        STRUCT,
        &expect![[r#"
        an event has one name: keep one @ "b"
    "#]],
    );
    event(
        "name = \"a\"",
        STRUCT,
        &expect![[r#"
        the name comes first, without a key: `#[event("order_created")]` @ name
    "#]],
    );
    event(
        "",
        "struct Größe {}",
        &expect![[r#"
        the name made of the type's, `größe`, has `ö`: words are made of a-z, 0-9, `_` and `-`; give the event a name: `#[event("its_name")]` @ Größe
    "#]],
    );
}

#[test]
fn options_are_known_and_given_once() {
    event(
        "verison = 2",
        STRUCT,
        &expect![[r#"
        unknown option `verison`: did you mean `version`? #[event] has `version`, `exchange` and `crate` @ verison
    "#]],
    );
    event(
        "zebra = 2",
        STRUCT,
        &expect![[r#"
        unknown option `zebra`: #[event] has `version`, `exchange` and `crate` @ zebra
    "#]],
    );
    event(
        "version = 2, version = 3",
        STRUCT,
        &expect![[r#"
        `version` is given twice: keep one @ version
    "#]],
    );
    event(
        "version",
        STRUCT,
        &expect![[r#"
        write `version = 3` @ version
    "#]],
    );
    event(
        "version(2)",
        STRUCT,
        &expect![[r#"
        write `version = 3` @ the attribute
    "#]],
    );
    event(
        "version = 0",
        STRUCT,
        &expect![[r#"
        `version` is a whole number from 1 to 4294967295 @ 0
    "#]],
    );
    event(
        "version = -1",
        STRUCT,
        &expect![[r#"
        `version` is a whole number from 1 to 4294967295 @ -1
    "#]],
    );
    event(
        "version = \"2\"",
        STRUCT,
        &expect![[r#"
        `version` is a whole number from 1 to 4294967295 @ "2"
    "#]],
    );
    event(
        "version = 4294967296",
        STRUCT,
        &expect![[r#"
        `version` is a whole number from 1 to 4294967295 @ 4294967296
    "#]],
    );
    event(
        "exchange = \"\"",
        STRUCT,
        &expect![[r#"
        exchange `` is empty @ ""
    "#]],
    );
    event(
        "exchange = legacy",
        STRUCT,
        &expect![[r#"
        `exchange` is a string literal: `exchange = "…"` @ legacy
    "#]],
    );
    event(
        "crate = 3",
        STRUCT,
        &expect![[r#"
        `crate` is a path: `crate = some::path` @ 3
    "#]],
    );
    event(
        "version 2",
        STRUCT,
        &expect![[r#"
        expected `,` @ 2
    "#]],
    );
    payload(
        "\"name\", version = 2",
        "struct Sku(String);",
        &expect![[r#"
        `#[payload]` has no name: only events have one @ "name"
        unknown option `version`: the only option of #[payload] is `crate` @ version
    "#]],
    );
}

#[test]
fn all_mistakes_of_one_item_are_told_at_once() {
    event(
        "\"Order\", version = 0, verison = 1",
        "#[derive(Debug, Clone)] struct A { #[key] a: u8, #[key] b: &'static str }",
        &expect![[r#"
            event name `Order` has `O`: words are made of a-z, 0-9, `_` and `-` @ "Order"
            `version` is a whole number from 1 to 4294967295 @ 0
            unknown option `verison`: did you mean `version`? #[event] has `version`, `exchange` and `crate` @ verison
            an event owns its data, it outlives the message that it came in: `String` instead of `&str`, `Vec` instead of a slice @ &'static str
            `#[event]` derives `Debug` already, one that masks `#[sensitive]` fields: take it out here @ Debug
            an event has one `#[key]`: keep one, or make a field of the two together @ #[key]
        "#]],
    );
}

#[test]
fn an_event_is_a_struct_with_named_fields() {
    event(
        "",
        "enum OrderEvent { Created }",
        &expect![[r#"
        an event is a struct: for any of several events use `#[derive(EventSet)]`, for a type that events are made of `#[payload]` @ enum
    "#]],
    );
    event(
        "",
        "union Either { a: u8 }",
        &expect![[r#"
        an event is a struct, and JSON knows no unions @ union
    "#]],
    );
    event(
        "",
        "struct Order(u8);",
        &expect![[r#"
        an event's fields have names, which its JSON is made of: write `{ name: Type }` @ (u8)
    "#]],
    );
    event(
        "",
        "struct Order;",
        &expect![[r#"
        an event's data is a JSON object, to which fields can be added: write `struct Order {}` @ Order
    "#]],
    );
    event(
        "",
        "fn order() {}",
        &expect![[r#"
        `#[event]` is for a struct, this is a function: `#[subscribe("…")]` is what makes a function a handler @ fn
    "#]],
    );
    event(
        "",
        "trait Order {}",
        &expect![[r#"
        `#[event]` is for a struct, this is a trait @ trait
    "#]],
    );
    event(
        "",
        "mod order {}",
        &expect![[r#"
        `#[event]` is for a struct, this is a module @ mod
    "#]],
    );
    event(
        "",
        "impl Order {}",
        &expect![[r#"
        `#[event]` is for a struct, this is an impl @ impl
    "#]],
    );
    event(
        "",
        "type Order = u8;",
        &expect![[r#"
        `#[event]` is for a struct, this is an alias @ type
    "#]],
    );
    event(
        "",
        "const ORDER: u8 = 1;",
        &expect![[r#"
        `#[event]` is for a struct, this is not one @ const ORDER: u8 = 1;
    "#]],
    );
    event(
        "",
        "struct Order { a u8 }",
        &expect![[r#"
        expected `:` @ u8
    "#]],
    );
    payload(
        "",
        "union Either { a: u8 }",
        &expect![[r#"
        JSON knows no unions: use an enum @ union
    "#]],
    );
}

#[test]
fn an_event_is_neither_generic_nor_borrowed() {
    event(
        "",
        "struct A<T> { a: T }",
        &expect![[r#"
        an event has one name and one schema, so it cannot be generic: write one struct for each type, or `#[payload]` for a generic part of an event @ T
    "#]],
    );
    event(
        "",
        "struct A<const N: usize> { a: [u8; N] }",
        &expect![[r#"
        an event has one name and one schema, so it cannot be generic: write one struct for each type, or `#[payload]` for a generic part of an event @ const N: usize
    "#]],
    );
    event(
        "",
        "struct A<'a> { a: &'a str }",
        &expect![[r#"
        an event owns its data, it outlives the message that it came in: `String` instead of `&str`, `Vec` instead of a slice @ &'a str
    "#]],
    );
    event(
        "",
        "struct A<'a> { a: Cow<'a, str> }",
        &expect![[r#"
        an event owns its data, it outlives the message that it came in: `String` instead of `&str`, `Vec` instead of a slice @ 'a
    "#]],
    );
    payload(
        "",
        "struct A { a: &'static str }",
        &expect![[r#"
        a payload owns its data, it outlives the message that it came in: `String` instead of `&str`, `Vec` instead of a slice @ &'static str
    "#]],
    );
}

#[test]
fn what_the_attribute_derives_is_not_derived_again() {
    event(
        "",
        "#[derive(Clone, serde::Serialize, Debug)] struct A {}",
        &expect![[r#"
        `#[event]` derives `Serialize` already: take it out here @ serde::Serialize
        `#[event]` derives `Debug` already, one that masks `#[sensitive]` fields: take it out here @ Debug
    "#]],
    );
    payload(
        "",
        "#[derive(JsonSchema)] struct A {}",
        &expect![[r#"
        `#[payload]` derives `JsonSchema` already: take it out here @ JsonSchema
    "#]],
    );
    event(
        "",
        "#[event(\"a\")] struct A {}",
        &expect![[r#"
        `#[event]` is given twice: keep one @ #[event("a")]
    "#]],
    );
    event(
        "",
        "#[rabbitry::payload] struct A {}",
        &expect![[r#"
        `#[event]` does all that `#[payload]` does: keep one of them @ #[rabbitry::payload]
    "#]],
    );
    payload(
        "",
        "#[event] struct A {}",
        &expect![[r#"
        `#[event]` does all that `#[payload]` does: keep one of them @ #[event]
    "#]],
    );
    event(
        "",
        "#[serde(transparent)] struct A { a: u8 }",
        &expect![[r#"
        an event's data is a JSON object, to which fields can be added: `transparent` is for `#[payload]` @ transparent
    "#]],
    );
    event("", "#[serde(rename_all = \"camelCase\")] struct A { #[serde(default)] a: u8 }", &expect![[""]]);
}

#[test]
fn fields_are_marked_once_and_with_sense() {
    event("", "struct A { #[key] a: u8, #[sensitive] b: u8 }", &expect![[""]]);
    event(
        "",
        "struct A { #[key] a: u8, #[key] b: u8 }",
        &expect![[r#"
        an event has one `#[key]`: keep one, or make a field of the two together @ #[key]
    "#]],
    );
    event(
        "",
        "struct A { #[key] #[key] a: u8 }",
        &expect![[r#"
        `#[key]` is given twice: keep one @ #[key]
    "#]],
    );
    event(
        "",
        "struct A { #[key] #[sensitive] a: u8 }",
        &expect![[r#"
        a `#[key]` travels in headers and is shown in logs, so it cannot be `#[sensitive]`: choose another key @ #[key]
    "#]],
    );
    event(
        "",
        "struct A { #[key(\"x\")] a: u8 }",
        &expect![[r#"
        write `#[key]` alone: it has no arguments @ #[key("x")]
    "#]],
    );
    event(
        "",
        "struct A { #[sensitive = true] a: u8 }",
        &expect![[r#"
        write `#[sensitive]` alone: it has no arguments @ #[sensitive = true]
    "#]],
    );
    event(
        "",
        "struct A { #[keys] a: u8, #[sensible] b: u8 }",
        &expect![[r#"
        unknown attribute `keys`: did you mean `#[key]`? @ #[keys]
        unknown attribute `sensible`: did you mean `#[sensitive]`? @ #[sensible]
    "#]],
    );
    payload(
        "",
        "struct A { #[key] a: u8 }",
        &expect![[r#"
        `#[key]` is for the fields of an event: only events are ordered by a key @ #[key]
    "#]],
    );
}

#[test]
fn an_event_is_written_so() {
    let written = expand(
        Kind::Event,
        testing::tokens("\"order_created\", version = 2"),
        &testing::tokens("pub struct OrderCreated { #[key] pub id: i64, #[sensitive] card: String }"),
    );
    let file: syn::File = syn::parse2(written).unwrap();
    let impls: Vec<_> = file.items.iter().filter(|item| matches!(item, syn::Item::Const(_))).collect();
    assert_eq!(impls.len(), 1);
    expect![[r##"# [allow (deprecated)] const _ : () = { # [allow (unused_imports)] use :: rabbitry as __rabbitry ; # [automatically_derived] impl :: core :: fmt :: Debug for OrderCreated { fn fmt (& self , __f : & mut :: core :: fmt :: Formatter < '_ >) -> :: core :: fmt :: Result { match self { Self { id : __0 , card : _ , } => { # [allow (unused_mut)] let mut __d = __f . debug_struct ("OrderCreated") ; __d . field ("id" , __rabbitry :: handler :: check :: shown :: < i64 > (__0)) ; __d . field ("card" , & :: core :: format_args ! ("***")) ; __d . finish () } } } } # [automatically_derived] impl __rabbitry :: Event for OrderCreated { const NAME : & 'static str = "order_created" ; const VERSION : u32 = 2u32 ; fn key (& self) -> :: core :: option :: Option < :: std :: borrow :: Cow < '_ , str > > { < i64 as __rabbitry :: Key > :: key (& self . id) } } } ;"##]].assert_eq(&quote::quote!(#(#impls)*).to_string());
}
