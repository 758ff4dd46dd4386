use expect_test::{Expect, expect};

use super::expand;
use crate::testing;

/// Arguments and functions.
#[track_caller]
fn check(cases: &[(&str, &str)], expected: &Expect) {
    let told = cases.iter().map(|(arguments, function)| {
        let written = expand(testing::tokens(arguments), &testing::tokens(function));
        (format!("({arguments}) {function}"), written)
    });
    expected.assert_eq(&testing::told(told));
}

/// Arguments on a function that is right.
#[track_caller]
fn options(cases: &[&str], expected: &Expect) {
    let function = testing::tokens("async fn reserve_stock(event: OrderCreated) {}");
    let told = cases.iter().map(|it| ((*it).to_owned(), expand(testing::tokens(it), &function)));
    expected.assert_eq(&testing::told(told));
}

/// Functions under an attribute that is right.
#[track_caller]
fn function(cases: &[&str], expected: &Expect) {
    let arguments = testing::tokens("\"order_created\"");
    let told = cases.iter().map(|it| ((*it).to_owned(), expand(arguments.clone(), &testing::tokens(it))));
    expected.assert_eq(&testing::told(told));
}

#[test]
fn options_that_are_right_are_no_mistake() {
    options(
        &[
            r#""order_created""#,
            r##""order_created", "order.*", "#","##,
            r#""a", retry(attempts = 6, immediate = 0, first = "1s", factor = 1.5, max = "1h 30m", jitter = 0),
                concurrency = 4, prefetch = 8, timeout = "500ms", reject_if = StockError::is_final, undecodable = retry,
                name = "reserve", queue = "stock.in", queue_type = "existing", exchange = "legacy", format = bare, crate = r"#,
            r#""a", retry(), broadcast, reject_if = |error: &E| error.is_final()"#,
            r#""a", queue_type = classic, undecodable = "dead_letter", format = default"#,
        ],
        &expect![[r##"
            "order_created"
                fine
            "order_created", "order.*", "#",
                fine
            "a", retry(attempts = 6, immediate = 0, first = "1s", factor = 1.5, max = "1h 30m", jitter = 0),
                            concurrency = 4, prefetch = 8, timeout = "500ms", reject_if = StockError::is_final, undecodable = retry,
                            name = "reserve", queue = "stock.in", queue_type = "existing", exchange = "legacy", format = bare, crate = r
                fine
            "a", retry(), broadcast, reject_if = |error: &E| error.is_final()
                fine
            "a", queue_type = classic, undecodable = "dead_letter", format = default
                fine
        "##]],
    );
}

#[test]
fn names_obey_the_rules() {
    options(
        &[
            "",
            "concurrency = 3",
            r#""order.*created""#,
            r###""##""###,
            r#""Order", """#,
            r#""a", "b", "a""#,
            "order_created",
            "NAME::OF",
            r#""a", name = "dead""#,
            r#""a", name = "Reserve Stock""#,
            r#""a", queue = """#,
        ],
        &expect![[r###"

                which events? Name them: `#[subscribe("order_created")]`, or `#[subscribe("order.*")]` for an `AnyEvent` @ the attribute
            concurrency = 3
                which events? Name them: `#[subscribe("order_created")]`, or `#[subscribe("order.*")]` for an `AnyEvent` @ the attribute
            "order.*created"
                event name `order.*created` has a wildcard inside a word: `*` and `#` stand for whole words @ "order.*created"
            "##"
                event name `##` has a wildcard inside a word: `*` and `#` stand for whole words @ "##"
            "Order", ""
                event name `Order` has `O`: words are made of a-z, 0-9, `_` and `-` @ "Order"
                event name `` is empty @ ""
            "a", "b", "a"
                `a` is subscribed to twice: keep one @ "a"
            order_created
                `order_created` is no option of `#[subscribe]`: a name is a string literal, `"order_created"`, the options are `retry`, `concurrency`, `prefetch`, `timeout`, `reject_if`, `undecodable`, `name`, `queue`, `queue_type`, `exchange`, `format`, `broadcast`, `blocking` and `crate` @ order_created
            NAME::OF
                an event's name is a string literal: `#[subscribe("order_created")]` @ NAME::OF
            "a", name = "dead"
                name `dead` ends in `dead`, which the queues of dead letters end in @ "dead"
            "a", name = "Reserve Stock"
                name `Reserve Stock` has `R`: words are made of a-z, 0-9, `_` and `-` @ "Reserve Stock"
            "a", queue = ""
                queue `` is empty @ ""
        "###]],
    );
}

#[test]
fn options_are_known_and_given_once() {
    options(
        &[
            r#""a", concurency = 3"#,
            r#""a", zebra = 3"#,
            r#""a", concurrency = 3, concurrency = 4"#,
            r#""a", retry(atempts = 3)"#,
            r#""a", retry(first = "1s", first = "2s")"#,
            r#""a", retry(attempts = 2), retry(attempts = 3)"#,
        ],
        &expect![[r#"
            "a", concurency = 3
                unknown option `concurency`: did you mean `concurrency`? `#[subscribe]` has `retry`, `concurrency`, `prefetch`, `timeout`, `reject_if`, `undecodable`, `name`, `queue`, `queue_type`, `exchange`, `format`, `broadcast`, `blocking` and `crate` @ concurency
            "a", zebra = 3
                unknown option `zebra`: `#[subscribe]` has `retry`, `concurrency`, `prefetch`, `timeout`, `reject_if`, `undecodable`, `name`, `queue`, `queue_type`, `exchange`, `format`, `broadcast`, `blocking` and `crate` @ zebra
            "a", concurrency = 3, concurrency = 4
                `concurrency` is given twice: keep one @ concurrency
            "a", retry(atempts = 3)
                unknown option `atempts`: did you mean `attempts`? `retry(…)` has `attempts`, `immediate`, `first`, `factor`, `max` and `jitter` @ atempts
            "a", retry(first = "1s", first = "2s")
                `first` is given twice: keep one @ first
            "a", retry(attempts = 2), retry(attempts = 3)
                `retry` is given twice: keep one @ retry
        "#]],
    );
}

#[test]
fn values_have_their_form_and_range() {
    options(
        &[
            r#""a", concurrency = 0, prefetch = 65536, timeout = "0s""#,
            r#""a", concurrency = "3""#,
            r#""a", concurrency"#,
            r#""a", timeout = 5"#,
            r#""a", timeout = "5x""#,
            r#""a", broadcast = true"#,
            r#""a", queue_type = "qorum""#,
            r#""a", undecodable = drop"#,
            r#""a", format = 3"#,
            r#""a", reject_if = 3"#,
            r#""a", retry = 3"#,
            r#""a", retry(3)"#,
            r#""a", retry(attempts = 0, factor = 0.5, jitter = 1.5, first = "10y")"#,
            r#""a", retry(factor = -1)"#,
        ],
        &expect![[r#"
            "a", concurrency = 0, prefetch = 65536, timeout = "0s"
                `concurrency` is a whole number from 1 to 65535 @ 0
                `prefetch` is a whole number from 1 to 65535 @ 65536
                `timeout` is a length of time from 1ms to 8.5 years @ "0s"
            "a", concurrency = "3"
                `concurrency` is a whole number from 1 to 65535 @ "3"
            "a", concurrency
                write `concurrency = 3` @ concurrency
            "a", timeout = 5
                `timeout` is a length of time: write a number and a unit: "500ms", "1s", "5m", "1h", "30d" @ 5
            "a", timeout = "5x"
                `5x` is not a length of time: write a number and a unit: "500ms", "1s", "5m", "1h", "30d" @ "5x"
            "a", broadcast = true
                write `broadcast` alone: it has no value @ broadcast
            "a", queue_type = "qorum"
                `queue_type` is one of `quorum`, `classic` and `existing`: did you mean `quorum`? @ "qorum"
            "a", undecodable = drop
                `undecodable` is one of `dead_letter` and `retry` @ drop
            "a", format = 3
                `format` is one of `default` and `bare` @ 3
            "a", reject_if = 3
                `reject_if` is the path of a function, or a closure @ 3
            "a", retry = 3
                write `retry(attempts = 6, first = "1s")` @ retry
            "a", retry(3)
                write `retry(attempts = 6, first = "1s")` @ 3
            "a", retry(attempts = 0, factor = 0.5, jitter = 1.5, first = "10y")
                `attempts` is a whole number from 1 to 4294967295 @ 0
                `factor` is a number from 1: delays cannot become shorter, and 1 keeps them equal @ 0.5
                `jitter` is a number from 0 to 1: the share by which a delay is stretched at most @ 1.5
                `first` is a length of time from 0s to 8.5 years @ "10y"
            "a", retry(factor = -1)
                `factor` is a number from 1: delays cannot become shorter, and 1 keeps them equal @ -1
        "#]],
    );
}

#[test]
fn max_is_not_less_than_first() {
    options(
        &[
            r#""a", retry(first = "10s", max = "5s")"#,
            r#""a", retry(first = "2h")"#,
            r#""a", retry(max = "100ms")"#,
            r#""a", retry(first = "2h", max = "2h")"#,
        ],
        &expect![[r#"
            "a", retry(first = "10s", max = "5s")
                `max` is less than `first`: no delay is longer than `max` @ max
            "a", retry(first = "2h")
                `first` is more than `max`, which is 1h where it is not given: give `max` too @ first
            "a", retry(max = "100ms")
                `max` is less than `first`, which is 1s where it is not given: give `first` too @ max
            "a", retry(first = "2h", max = "2h")
                fine
        "#]],
    );
}

#[test]
fn options_that_exclude_each_other_are_named_in_pairs() {
    options(
        &[r#""a", broadcast, queue = "q""#, r#""a", queue_type = quorum, broadcast, queue = "q""#, r#""a", blocking"#],
        &expect![[r#"
            "a", broadcast, queue = "q"
                `queue` and `broadcast` exclude each other: with `broadcast` each instance has a queue of its own, named by the broker @ queue
            "a", queue_type = quorum, broadcast, queue = "q"
                `queue` and `broadcast` exclude each other: with `broadcast` each instance has a queue of its own, named by the broker @ queue
                `queue_type` and `broadcast` exclude each other: with `broadcast` each instance has a queue of its own, named by the broker @ queue_type
            "a", blocking
                `blocking` and `async` exclude each other: a plain `fn` with `blocking` may block, an `async fn` may not @ blocking
        "#]],
    );
}

#[test]
fn a_handler_is_a_function_that_is_async_or_blocking() {
    function(
        &[
            "async fn a(event: A, State(s): State<S>) -> Result<(), E> {}",
            "pub(crate) async fn a(A { id, .. }: A, mut s: State<S>, _: Attempt) -> Vec<B> {}",
            "fn a(event: A) -> impl Future<Output = B> + Send {}",
            "fn a(event: A) -> BoxFuture<'static, B> {}",
            "async fn r#type(event: A) {}",
        ],
        &expect![[r#"
            async fn a(event: A, State(s): State<S>) -> Result<(), E> {}
                fine
            pub(crate) async fn a(A { id, .. }: A, mut s: State<S>, _: Attempt) -> Vec<B> {}
                fine
            fn a(event: A) -> impl Future<Output = B> + Send {}
                fine
            fn a(event: A) -> BoxFuture<'static, B> {}
                fine
            async fn r#type(event: A) {}
                fine
        "#]],
    );
    check(
        &[(r#""a", blocking"#, "fn a(event: A) -> B {}")],
        &expect![[r#"
        ("a", blocking) fn a(event: A) -> B {}
            fine
    "#]],
    );
    function(
        &[
            "fn a(event: A) {}",
            "struct A {}",
            "enum A {}",
            "impl A {}",
            "mod a {}",
            "trait A {}",
            "async fn a(event: A);",
        ],
        &expect![[r#"
            fn a(event: A) {}
                a handler is an `async fn`; a plain `fn`, which may block, has the option `blocking` @ fn
            struct A {}
                `#[subscribe]` is for a function, this is a struct: handlers are free functions: `async fn name(event: TheEvent) { … }` @ struct
            enum A {}
                `#[subscribe]` is for a function, this is an enum: handlers are free functions: `async fn name(event: TheEvent) { … }` @ enum
            impl A {}
                `#[subscribe]` is for a function, this is an impl: handlers are free functions: `async fn name(event: TheEvent) { … }` @ impl
            mod a {}
                `#[subscribe]` is for a function, this is a module: handlers are free functions: `async fn name(event: TheEvent) { … }` @ mod
            trait A {}
                `#[subscribe]` is for a function, this is a trait: handlers are free functions: `async fn name(event: TheEvent) { … }` @ trait
            async fn a(event: A);
                expected curly braces @ ;
        "#]],
    );
}

#[test]
fn a_handler_is_free_safe_and_of_one_type() {
    function(
        &[
            "async fn a(&self, event: A) {}",
            "async fn a<T>(event: T) {}",
            "async fn a<'a>(event: A<'a>) {}",
            "async fn a(event: impl EventSet) {}",
            "async fn a(event: &A, metadata: &mut Metadata) {}",
            "async unsafe fn a(event: A) {}",
            "async fn a() {}",
            "async fn a(a: A, b: B, c: C, d: D, e: E, f: F, g: G, h: H, i: I) {}",
            "async fn a(a: A, #[cfg(x)] b: B) {}",
            r#"#[subscribe("b")] async fn a(a: A) {}"#,
        ],
        &expect![[r#"
            async fn a(&self, event: A) {}
                a handler is a free function without `self`: what it needs of the service comes as `State<T>` @ &self
            async fn a<T>(event: T) {}
                a handler's queue is for one function, so it cannot be generic: write one function for each type, or take an `AnyEvent` @ T
            async fn a<'a>(event: A<'a>) {}
                a handler's arguments are owned, so it has no lifetimes: take the event by value @ 'a
            async fn a(event: impl EventSet) {}
                a handler's arguments are made by their types: name the type @ impl EventSet
            async fn a(event: &A, metadata: &mut Metadata) {}
                a handler owns its arguments: take it by value, without the `&` @ &A
                a handler owns its arguments: take it by value, without the `&` @ &mut Metadata
            async unsafe fn a(event: A) {}
                a handler is safe to call with any event: take `unsafe` away and use it inside @ unsafe
            async fn a() {}
                a handler takes the event by value, this one takes none: add an argument of the event's type, or `AnyEvent` @ a
            async fn a(a: A, b: B, c: C, d: D, e: E, f: F, g: G, h: H, i: I) {}
                a handler has at most 8 arguments: put some of them together in one `State` @ I
            async fn a(a: A, #[cfg(x)] b: B) {}
                an argument of a handler cannot depend on `cfg`: write two functions @ #[cfg(x)]
            #[subscribe("b")] async fn a(a: A) {}
                `#[subscribe]` is given twice: name all events in one, `#[subscribe("created", "cancelled")]`, or write two functions @ #[subscribe("b")]
        "#]],
    );
}

#[test]
fn a_function_gives_its_queue_a_name() {
    function(
        &["async fn dead(event: A) {}", "async fn onOrder(event: A) {}"],
        &expect![[r#"
        async fn dead(event: A) {}
            the queue is named by the function, but `dead` ends in `dead`, which the queues of dead letters end in; give the handler another: `name = "…"` @ dead
        async fn onOrder(event: A) {}
            the queue is named by the function, but `onOrder` has `O`: words are made of a-z, 0-9, `_` and `-`; give the handler another: `name = "…"` @ onOrder
    "#]],
    );
    check(
        &[(r#""a", name = "on_order""#, "async fn onOrder(event: A) {}")],
        &expect![[r#"
        ("a", name = "on_order") async fn onOrder(event: A) {}
            fine
    "#]],
    );
}
