#![allow(unused)]

use rabbitry::EventSet;

#[derive(EventSet)]
enum Either<A> {
    A(A),
}

fn main() {}
