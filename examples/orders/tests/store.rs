//! What the store keeps, whatever comes in which order.

use std::{fs, path::Path};

use contracts::{Item, Order, StockAnswer, StockRejected, StockReserved};
use orders::Orders;

type Tested = Result<(), sqlx::Error>;

/// A fresh file.
fn file(test: &str) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    // There is none on the first run.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the folder for tests can be written");
    folder.join("orders.db").display().to_string()
}

fn order(id: i64, quantity: u32) -> Order {
    Order { id, customer_id: 1, total: 2.5, items: vec![Item { product_id: 7, quantity }] }
}

fn reserved(order_id: i64) -> StockAnswer {
    StockAnswer::Reserved(StockReserved { order_id })
}

fn rejected(order_id: i64) -> StockAnswer {
    StockAnswer::Rejected(StockRejected { order_id, reason: "sold out".to_owned() })
}

async fn status(orders: &Orders, id: i64) -> Result<String, sqlx::Error> {
    let status = orders.status(id).await?;
    Ok(status.map_or("unknown".to_owned(), |status| format!("{} {}", status.status, status.reason.unwrap_or_default())))
}

#[tokio::test]
async fn an_order_is_pending_until_its_answer_comes() -> Tested {
    let orders = Orders::open(&file("answer")).await?;
    assert_eq!(status(&orders, 1).await?, "unknown");
    assert!(orders.place(&order(1, 1)).await?);
    assert_eq!(status(&orders, 1).await?, "pending ");
    orders.settle(&rejected(1)).await?;
    assert_eq!(status(&orders, 1).await?, "rejected sold out");
    Ok(())
}

#[tokio::test]
async fn the_first_answer_counts() -> Tested {
    let orders = Orders::open(&file("first")).await?;
    orders.place(&order(1, 1)).await?;
    orders.settle(&reserved(1)).await?;
    orders.settle(&rejected(1)).await?;
    orders.settle(&reserved(1)).await?;
    orders.place(&order(1, 1)).await?;
    assert_eq!(status(&orders, 1).await?, "confirmed ");
    Ok(())
}

#[tokio::test]
async fn an_answer_before_its_order_is_kept() -> Tested {
    let orders = Orders::open(&file("early")).await?;
    orders.settle(&rejected(1)).await?;
    assert!(orders.place(&order(1, 1)).await?);
    assert_eq!(status(&orders, 1).await?, "rejected sold out");
    assert!(!orders.place(&order(1, 2)).await?, "the first order keeps its number");
    Ok(())
}

#[tokio::test]
async fn another_order_of_the_same_number_is_told_apart() -> Tested {
    let orders = Orders::open(&file("another")).await?;
    assert!(orders.place(&order(1, 1)).await?);
    assert!(!orders.place(&order(1, 2)).await?);
    assert!(orders.place(&order(1, 1)).await?);
    Ok(())
}

#[tokio::test]
async fn orders_outlive_the_process() -> Tested {
    let file = file("outlive");
    let orders = Orders::open(&file).await?;
    orders.place(&order(1, 1)).await?;
    orders.settle(&reserved(1)).await?;
    orders.place(&order(2, 1)).await?;
    drop(orders);
    let orders = Orders::open(&file).await?;
    assert_eq!(status(&orders, 1).await?, "confirmed ");
    assert_eq!(status(&orders, 2).await?, "pending ");
    Ok(())
}
