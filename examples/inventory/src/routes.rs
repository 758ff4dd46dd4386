//! The HTTP side: products are added and looked at.

use axum::{
    Json, Router,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
    http::StatusCode,
    routing::{get, post},
};
use contracts::Product;
use serde_json::{Value, json};

use crate::{Stock, refusal::Refusal};

pub(crate) fn router(stock: Stock) -> Router {
    Router::new()
        .route("/products/", post(create_product))
        .route("/products/{id}", get(show_product))
        .fallback(async || Refusal(StatusCode::NOT_FOUND, "there is nothing at this path".to_owned()))
        .method_not_allowed_fallback(async || {
            Refusal(StatusCode::METHOD_NOT_ALLOWED, "this path has other methods".to_owned())
        })
        .with_state(stock)
}

/// Adds the product. Sent again, it changes nothing: what was taken since stays taken.
async fn create_product(
    State(stock): State<Stock>,
    body: Result<Json<Product>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let Json(product) = body?;
    check(&product).map_err(|reason| Refusal(StatusCode::UNPROCESSABLE_ENTITY, reason))?;
    if !stock.add(&product).await? {
        return Err(Refusal(StatusCode::CONFLICT, format!("there is another product {}", product.id)));
    }
    Ok((StatusCode::CREATED, Json(json!({ "product_id": product.id }))))
}

async fn show_product(
    State(stock): State<Stock>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Json<Product>, Refusal> {
    let Path(id) = id?;
    let unknown = || Refusal(StatusCode::NOT_FOUND, format!("there is no product {id}"));
    stock.product(id).await?.map(Json).ok_or_else(unknown)
}

/// What the types don't say about a product.
fn check(product: &Product) -> Result<(), String> {
    if product.id < 1 {
        return Err(format!("id is {}: numbers start at 1", product.id));
    }
    if product.name.trim().is_empty() {
        return Err("name is empty".to_owned());
    }
    Ok(())
}
