#![allow(unused)]

use rabbitry::{
    __private::{schemars, serde},
    event,
};

// As another crate might have it.
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "rabbitry::__private::serde")]
#[schemars(crate = "rabbitry::__private::schemars")]
struct Money {
    cents: i64,
}

#[event("order_created")]
struct OrderCreated {
    price: Money,
    #[sensitive]
    cost: Money,
}

fn main() {}
