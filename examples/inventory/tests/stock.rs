//! What is taken out of stock: all or nothing, once for each order, also by many at once.

use std::{collections::BTreeSet, fs, path::Path};

use contracts::{Item, Product};
use inventory::{Stock, Taken};
use tokio::task::JoinSet;

type Tested = Result<(), sqlx::Error>;

/// A fresh file.
fn file(test: &str) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    // There is none on the first run.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the folder for tests can be written");
    folder.join("inventory.db").display().to_string()
}

fn product(id: i64, stock: u32) -> Product {
    Product { id, name: format!("product {id}"), stock }
}

fn items(items: &[(i64, u32)]) -> Vec<Item> {
    items.iter().map(|&(product_id, quantity)| Item { product_id, quantity }).collect()
}

async fn stock_of(stock: &Stock, id: i64) -> Result<Option<u32>, sqlx::Error> {
    Ok(stock.product(id).await?.map(|product| product.stock))
}

#[tokio::test]
async fn all_is_taken_or_nothing() -> Tested {
    let stock = Stock::open(&file("all_or_nothing")).await?;
    stock.add(&product(1, 5)).await?;
    stock.add(&product(2, 1)).await?;

    let missing = stock.take(1, &items(&[(1, 2), (2, 2)])).await?;
    assert_eq!(missing, Taken::Nothing("product 2: 2 wanted, 1 in stock".to_owned()));
    let unknown = stock.take(2, &items(&[(1, 2), (3, 1)])).await?;
    assert_eq!(unknown, Taken::Nothing("there is no product 3".to_owned()));
    assert_eq!(stock_of(&stock, 1).await?, Some(5));

    let Taken::All(updates) = stock.take(3, &items(&[(1, 2), (2, 1), (1, 3)])).await? else { panic!("all is there") };
    let updates: Vec<_> = updates.iter().map(|it| (it.product_id, it.product.stock, it.new_stock)).collect();
    assert_eq!(updates, [(1, 0, 0), (2, 0, 0)], "lines of one product are added up");
    assert_eq!((stock_of(&stock, 1).await?, stock_of(&stock, 2).await?), (Some(0), Some(0)));
    Ok(())
}

#[tokio::test]
async fn an_order_without_items_is_reserved() -> Tested {
    let stock = Stock::open(&file("no_items")).await?;
    assert_eq!(stock.take(1, &[]).await?, Taken::All(Vec::new()));
    Ok(())
}

#[tokio::test]
async fn quantities_beyond_all_numbers_are_missing() -> Tested {
    let stock = Stock::open(&file("beyond")).await?;
    stock.add(&product(1, u32::MAX)).await?;
    let taken = stock.take(1, &items(&[(1, u32::MAX), (1, 1)])).await?;
    assert_eq!(taken, Taken::Nothing("product 1: 4294967296 wanted, 4294967295 in stock".to_owned()));
    Ok(())
}

#[tokio::test]
async fn an_order_that_comes_again_gets_the_same_answer() -> Tested {
    let file = file("again");
    let stock = Stock::open(&file).await?;
    stock.add(&product(1, 5)).await?;
    let first = stock.take(1, &items(&[(1, 5)])).await?;
    let missing = stock.take(2, &items(&[(1, 1)])).await?;
    drop(stock);

    let stock = Stock::open(&file).await?;
    assert_eq!(stock.take(1, &items(&[(1, 5)])).await?, first);
    assert_eq!(stock.take(2, &items(&[(1, 1)])).await?, missing);
    assert_eq!(stock_of(&stock, 1).await?, Some(0));
    Ok(())
}

#[tokio::test]
async fn a_product_that_is_added_again_keeps_its_stock() -> Tested {
    let stock = Stock::open(&file("added_again")).await?;
    assert!(stock.add(&product(1, 5)).await?);
    stock.take(1, &items(&[(1, 2)])).await?;
    assert!(stock.add(&product(1, 5)).await?);
    assert!(!stock.add(&product(1, 9)).await?);
    assert_eq!(stock_of(&stock, 1).await?, Some(3));
    Ok(())
}

/// Two handles on one file are what two processes would be: SQLite locks between their connections.
#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_take_no_unit_twice() -> Tested {
    const ORDERS: i64 = 200;
    let file = file("many");
    let (one, two) = tokio::try_join!(Stock::open(&file), Stock::open(&file))?;
    one.add(&product(1, 150)).await?;
    let mut runs = JoinSet::new();
    for order_id in 0..ORDERS {
        // Each order comes twice, once to each.
        for stock in [one.clone(), two.clone()] {
            runs.spawn(async move { (order_id, stock.take(order_id, &items(&[(1, 1)])).await) });
        }
    }
    let (mut reserved, mut rejected, mut left) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    while let Some(run) = runs.join_next().await {
        let (order_id, taken) = run.expect("no run panics");
        match taken? {
            Taken::All(updates) => {
                reserved.insert(order_id);
                left.extend(updates.iter().map(|update| update.new_stock));
            }
            Taken::Nothing(_) => _ = rejected.insert(order_id),
        }
    }
    assert_eq!((reserved.len(), rejected.len()), (150, 50));
    assert!(reserved.is_disjoint(&rejected), "each order has one answer");
    assert_eq!(left, (0..150).collect(), "each stock was there once");
    assert_eq!(stock_of(&two, 1).await?, Some(0));
    Ok(())
}
