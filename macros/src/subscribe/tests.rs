use expect_test::{Expect, expect};

use super::expand;
use crate::testing;

#[track_caller]
fn check(arguments: &str, function: &str, expected: &Expect) {
    expected.assert_eq(&testing::errors(&expand(testing::tokens(arguments), &testing::tokens(function))));
}

/// An attribute on a function that is right.
#[track_caller]
fn options(arguments: &str, expected: &Expect) {
    check(arguments, "async fn reserve_stock(event: OrderCreated) {}", expected);
}

/// A function under an attribute that is right.
#[track_caller]
fn function(function: &str, expected: &Expect) {
    check("\"order_created\"", function, expected);
}

#[test]
fn options_that_are_right_are_no_mistake() {
    options("\"order_created\"", &expect![[""]]);
    options("\"order_created\", \"order.*\", \"#\",", &expect![[""]]);
    options(
        "\"a\", retry(attempts = 6, immediate = 0, first = \"1s\", factor = 1.5, max = \"1h 30m\", jitter = 0), \
         concurrency = 4, prefetch = 8, timeout = \"500ms\", reject_if = StockError::is_final, undecodable = retry, \
         name = \"reserve\", queue = \"stock.in\", queue_type = \"existing\", exchange = \"legacy\", format = bare, crate = r",
        &expect![[""]],
    );
    options("\"a\", retry(), broadcast, reject_if = |error: &E| error.is_final()", &expect![[""]]);
    options("\"a\", queue_type = classic, undecodable = \"dead_letter\", format = default", &expect![[""]]);
}

#[test]
fn names_obey_the_rules() {
    options(
        "",
        &expect![[r#"
        which events? Name them: `#[subscribe("order_created")]`, or `#[subscribe("order.*")]` for an `AnyEvent` @ the attribute
    "#]],
    );
    options(
        "concurrency = 3",
        &expect![[r#"
        which events? Name them: `#[subscribe("order_created")]`, or `#[subscribe("order.*")]` for an `AnyEvent` @ the attribute
    "#]],
    );
    options(
        "\"order.*created\"",
        &expect![[r#"
        event name `order.*created` has a wildcard inside a word: `*` and `#` stand for whole words @ "order.*created"
    "#]],
    );
    options(
        "\"##\"",
        &expect![[r###"
        event name `##` has a wildcard inside a word: `*` and `#` stand for whole words @ "##"
    "###]],
    );
    options(
        "\"Order\", \"\"",
        &expect![[r#"
        event name `Order` has `O`: words are made of a-z, 0-9, `_` and `-` @ "Order"
        event name `` is empty @ ""
    "#]],
    );
    options(
        "\"a\", \"b\", \"a\"",
        &expect![[r#"
        `a` is subscribed to twice: keep one @ "a"
    "#]],
    );
    options(
        "order_created",
        &expect![[r#"
        `order_created` is no option of #[subscribe]: a name is a string literal, `"order_created"`, the options are `retry`, `concurrency`, `prefetch`, `timeout`, `reject_if`, `undecodable`, `name`, `queue`, `queue_type`, `exchange`, `format`, `broadcast`, `blocking` and `crate` @ order_created
    "#]],
    );
    options(
        "NAME::OF",
        &expect![[r#"
        an event's name is a string literal: `#[subscribe("order_created")]` @ NAME::OF
    "#]],
    );
    options(
        "\"a\", name = \"dead\"",
        &expect![[r#"
        name `dead` ends in `dead`, which the queues of dead letters end in @ "dead"
    "#]],
    );
    options(
        "\"a\", name = \"Reserve Stock\"",
        &expect![[r#"
        name `Reserve Stock` has `R`: words are made of a-z, 0-9, `_` and `-` @ "Reserve Stock"
    "#]],
    );
    options(
        "\"a\", queue = \"\"",
        &expect![[r#"
        queue `` is empty @ ""
    "#]],
    );
}

#[test]
fn options_are_known_and_given_once() {
    options(
        "\"a\", concurency = 3",
        &expect![[r#"
        unknown option `concurency`: did you mean `concurrency`? #[subscribe] has `retry`, `concurrency`, `prefetch`, `timeout`, `reject_if`, `undecodable`, `name`, `queue`, `queue_type`, `exchange`, `format`, `broadcast`, `blocking` and `crate` @ concurency
    "#]],
    );
    options(
        "\"a\", zebra = 3",
        &expect![[r#"
        unknown option `zebra`: #[subscribe] has `retry`, `concurrency`, `prefetch`, `timeout`, `reject_if`, `undecodable`, `name`, `queue`, `queue_type`, `exchange`, `format`, `broadcast`, `blocking` and `crate` @ zebra
    "#]],
    );
    options(
        "\"a\", concurrency = 3, concurrency = 4",
        &expect![[r#"
        `concurrency` is given twice: keep one @ concurrency
    "#]],
    );
    options(
        "\"a\", retry(atempts = 3)",
        &expect![[r#"
        unknown option `atempts`: did you mean `attempts`? retry(…) has `attempts`, `immediate`, `first`, `factor`, `max` and `jitter` @ atempts
    "#]],
    );
    options(
        "\"a\", retry(first = \"1s\", first = \"2s\")",
        &expect![[r#"
        `first` is given twice: keep one @ first
    "#]],
    );
    options(
        "\"a\", retry(attempts = 2), retry(attempts = 3)",
        &expect![[r#"
        `retry` is given twice: keep one @ retry
    "#]],
    );
}

#[test]
fn values_have_their_form_and_range() {
    options(
        "\"a\", concurrency = 0, prefetch = 65536, timeout = \"0s\"",
        &expect![[r#"
        `concurrency` is a whole number from 1 to 65535 @ 0
        `prefetch` is a whole number from 1 to 65535 @ 65536
        `timeout` is a length of time from 1ms to 8years 6months 2days 6h 2m 39s @ "0s"
    "#]],
    );
    options(
        "\"a\", concurrency = \"3\"",
        &expect![[r#"
        `concurrency` is a whole number from 1 to 65535 @ "3"
    "#]],
    );
    options(
        "\"a\", concurrency",
        &expect![[r#"
        write `concurrency = 3` @ concurrency
    "#]],
    );
    options(
        "\"a\", timeout = 5",
        &expect![[r#"
        `timeout` is a length of time: write a number and a unit: "500ms", "1s", "5m", "1h", "30d" @ 5
    "#]],
    );
    options(
        "\"a\", timeout = \"5x\"",
        &expect![[r#"
        `5x` is not a length of time (unknown time unit "x", supported units: ns, us/µs, ms, sec, min, hours, days, weeks, months, years (and few variations)); write a number and a unit: "500ms", "1s", "5m", "1h", "30d" @ "5x"
    "#]],
    );
    options(
        "\"a\", broadcast = true",
        &expect![[r#"
        write `broadcast` alone: it has no value @ broadcast = true
    "#]],
    );
    options(
        "\"a\", queue_type = \"qorum\"",
        &expect![[r#"
        `queue_type` is one of `quorum`, `classic` and `existing`: did you mean `quorum`? @ "qorum"
    "#]],
    );
    options(
        "\"a\", undecodable = drop",
        &expect![[r#"
        `undecodable` is one of `dead_letter` and `retry` @ drop
    "#]],
    );
    options(
        "\"a\", format = 3",
        &expect![[r#"
        `format` is one of `default` and `bare` @ 3
    "#]],
    );
    options(
        "\"a\", reject_if = 3",
        &expect![[r#"
        `reject_if` is the path of a function, or a closure @ 3
    "#]],
    );
    options(
        "\"a\", retry = 3",
        &expect![[r#"
        write `retry(attempts = 6, first = "1s")` @ retry = 3
    "#]],
    );
    options(
        "\"a\", retry(3)",
        &expect![[r#"
        write `retry(attempts = 6, first = "1s")` @ 3
    "#]],
    );
    options(
        "\"a\", retry(attempts = 0, factor = 0.5, jitter = 1.5, first = \"10y\")",
        &expect![[r#"
        `attempts` is a whole number from 1 to 4294967295 @ 0
        `factor` is a number from 1: delays cannot become shorter, and 1 keeps them equal @ 0.5
        `jitter` is a number from 0 to 1: the share by which a delay is stretched at most @ 1.5
        `first` is a length of time from 0s to 8years 6months 2days 6h 2m 39s @ "10y"
    "#]],
    );
    options(
        "\"a\", retry(factor = -1)",
        &expect![[r#"
        `factor` is a number from 1: delays cannot become shorter, and 1 keeps them equal @ -1
    "#]],
    );
}

#[test]
fn max_is_not_less_than_first() {
    options(
        "\"a\", retry(first = \"10s\", max = \"5s\")",
        &expect![[r#"
        `max` is less than `first`: no delay is longer than `max` @ max
    "#]],
    );
    options(
        "\"a\", retry(first = \"2h\")",
        &expect![[r#"
        `first` is more than `max`, which is 1h where it is not given: give `max` too @ first
    "#]],
    );
    options(
        "\"a\", retry(max = \"100ms\")",
        &expect![[r#"
        `max` is less than `first`, which is 1s where it is not given: give `first` too @ max
    "#]],
    );
    options("\"a\", retry(first = \"2h\", max = \"2h\")", &expect![[""]]);
}

#[test]
fn options_that_exclude_each_other_are_named_in_pairs() {
    options(
        "\"a\", broadcast, queue = \"q\"",
        &expect![[r#"
        `queue` and `broadcast` exclude each other: with `broadcast` each instance has a queue of its own, named by the broker @ queue
    "#]],
    );
    options(
        "\"a\", queue_type = quorum, broadcast, queue = \"q\"",
        &expect![[r#"
        `queue` and `broadcast` exclude each other: with `broadcast` each instance has a queue of its own, named by the broker @ queue
        `queue_type` and `broadcast` exclude each other: with `broadcast` each instance has a queue of its own, named by the broker @ queue_type
    "#]],
    );
    options(
        "\"a\", blocking",
        &expect![[r#"
        `blocking` and `async` exclude each other: a plain `fn` with `blocking` may block, an `async fn` may not @ blocking
    "#]],
    );
}

#[test]
fn a_handler_is_a_function_that_is_async_or_blocking() {
    function("async fn a(event: A, State(s): State<S>) -> Result<(), E> {}", &expect![[""]]);
    function("pub(crate) async fn a(A { id, .. }: A, mut s: State<S>, _: Attempt) -> Vec<B> {}", &expect![[""]]);
    function("fn a(event: A) -> impl Future<Output = B> + Send {}", &expect![[""]]);
    function("fn a(event: A) -> BoxFuture<'static, B> {}", &expect![[""]]);
    function("async fn r#type(event: A) {}", &expect![[""]]);
    check("\"a\", blocking", "fn a(event: A) -> B {}", &expect![[""]]);
    function(
        "fn a(event: A) {}",
        &expect![[r#"
        a handler is an `async fn`; a plain `fn`, which may block, has the option `blocking` @ fn
    "#]],
    );
    function(
        "struct A {}",
        &expect![[r#"
        `#[subscribe]` is for a function, this is a struct: handlers are free functions: `async fn name(event: TheEvent) { … }` @ struct
    "#]],
    );
    function(
        "enum A {}",
        &expect![[r#"
        `#[subscribe]` is for a function, this is an enum: handlers are free functions: `async fn name(event: TheEvent) { … }` @ enum
    "#]],
    );
    function(
        "impl A {}",
        &expect![[r#"
        `#[subscribe]` is for a function, this is an impl: handlers are free functions: `async fn name(event: TheEvent) { … }` @ impl
    "#]],
    );
    function(
        "mod a {}",
        &expect![[r#"
        `#[subscribe]` is for a function, this is a module: handlers are free functions: `async fn name(event: TheEvent) { … }` @ mod
    "#]],
    );
    function(
        "trait A {}",
        &expect![[r#"
        `#[subscribe]` is for a function, this is a trait: handlers are free functions: `async fn name(event: TheEvent) { … }` @ trait
    "#]],
    );
    function(
        "async fn a(event: A);",
        &expect![[r#"
        expected curly braces @ ;
    "#]],
    );
}

#[test]
fn a_handler_is_free_safe_and_of_one_type() {
    function(
        "async fn a(&self, event: A) {}",
        &expect![[r#"
        a handler is a free function without `self`: what it needs of the service comes as `State<T>` @ &self
    "#]],
    );
    function(
        "async fn a<T>(event: T) {}",
        &expect![[r#"
        a handler's queue is for one function, so it cannot be generic: write one function for each type, or take an `AnyEvent` @ T
    "#]],
    );
    function(
        "async fn a<'a>(event: A<'a>) {}",
        &expect![[r#"
        a handler's arguments are owned, so it has no lifetimes: take the event by value @ 'a
    "#]],
    );
    function(
        "async fn a(event: impl EventSet) {}",
        &expect![[r#"
        a handler's arguments are made by their types: name the type @ impl EventSet
    "#]],
    );
    function(
        "async fn a(event: &A, metadata: &mut Metadata) {}",
        &expect![[r#"
        a handler owns its arguments: take it by value, without the `&` @ &A
        a handler owns its arguments: take it by value, without the `&` @ &mut Metadata
    "#]],
    );
    function(
        "async unsafe fn a(event: A) {}",
        &expect![[r#"
        a handler is safe to call with any event: take `unsafe` away and use it inside @ unsafe
    "#]],
    );
    function(
        "async fn a() {}",
        &expect![[r#"
        a handler takes the event by value, this one takes none: add an argument of the event's type, or `AnyEvent` @ a
    "#]],
    );
    function(
        "async fn a(a: A, b: B, c: C, d: D, e: E, f: F, g: G, h: H, i: I) {}",
        &expect![[r#"
        a handler has at most 8 arguments: put some of them together in one `State` @ I
    "#]],
    );
    function(
        "async fn a(a: A, #[cfg(x)] b: B) {}",
        &expect![[r#"
        an argument of a handler cannot depend on `cfg`: write two functions @ #[cfg(x)]
    "#]],
    );
    function(
        "#[subscribe(\"b\")] async fn a(a: A) {}",
        &expect![[r#"
        `#[subscribe]` is given twice: name all events in one, `#[subscribe("created", "cancelled")]`, or write two functions @ #[subscribe("b")]
    "#]],
    );
}

#[test]
fn a_function_gives_its_queue_a_name() {
    function(
        "async fn dead(event: A) {}",
        &expect![[r#"
        the queue is named by the function, but `dead` ends in `dead`, which the queues of dead letters end in; give the handler another: `name = "…"` @ dead
    "#]],
    );
    function(
        "async fn onOrder(event: A) {}",
        &expect![[r#"
        the queue is named by the function, but `onOrder` has `O`: words are made of a-z, 0-9, `_` and `-`; give the handler another: `name = "…"` @ onOrder
    "#]],
    );
    check("\"a\", name = \"on_order\"", "async fn onOrder(event: A) {}", &expect![[""]]);
}
