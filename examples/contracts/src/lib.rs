//! What the services of the shop say to each other. It is all that they share.

use rabbitry::{EventSet, event, payload};

/// An order, as a customer sends it.
#[payload]
#[derive(Clone, PartialEq)]
pub struct Order {
    /// Its number, given by the customer.
    pub id: i64,
    /// Who pays.
    pub customer_id: i64,
    /// What it costs in all.
    pub total: f64,
    /// What is to be delivered; nothing, if left out.
    #[serde(default)]
    pub items: Vec<Item>,
}

/// A line of an order.
#[payload]
#[derive(Clone, PartialEq)]
pub struct Item {
    /// The product.
    pub product_id: i64,
    /// How many of it.
    pub quantity: u32,
}

/// A product.
#[payload]
#[derive(Clone, PartialEq)]
pub struct Product {
    /// Its number.
    pub id: i64,
    /// What people call it.
    pub name: String,
    /// How many there are.
    pub stock: u32,
}

/// A customer placed an order.
#[event("order_created")]
pub struct OrderCreated {
    /// The order's number.
    #[key]
    pub order_id: i64,
    /// The order.
    pub order: Order,
}

/// There are now more or fewer of a product than before.
#[event("stock_updated")]
#[derive(Clone, PartialEq)]
pub struct StockUpdated {
    /// The product's number.
    #[key]
    pub product_id: i64,
    /// The product, as it is now.
    pub product: Product,
    /// How many there are now.
    pub new_stock: u32,
}

/// All that an order asks for was taken out of stock.
#[event("stock_reserved")]
#[derive(Clone, PartialEq)]
pub struct StockReserved {
    /// The order's number.
    #[key]
    pub order_id: i64,
}

/// Nothing was taken out of stock for an order, since not all that it asks for is there.
#[event("stock_rejected")]
#[derive(Clone, PartialEq)]
pub struct StockRejected {
    /// The order's number.
    #[key]
    pub order_id: i64,
    /// What is missing.
    pub reason: String,
}

/// What inventory answers to an order.
#[derive(Clone, Debug, PartialEq, EventSet)]
pub enum StockAnswer {
    /// All of it was taken.
    Reserved(StockReserved),
    /// Nothing was.
    Rejected(StockRejected),
}
