//! What to try.

use std::net::SocketAddr;

/// What to try, as commands to paste.
#[must_use]
pub fn welcome(orders: SocketAddr, inventory: SocketAddr) -> String {
    let post = "curl -H 'content-type: application/json'";
    format!(
        "\
orders listens on http://{orders}
inventory listens on http://{inventory}

The shop is open. Try in another terminal:

  {post} http://{inventory}/products/ -d '{{\"id\": 7, \"name\": \"carrot\", \"stock\": 10}}'
  {post} http://{orders}/orders/ -d '{{\"id\": 1, \"customer_id\": 3, \"total\": 9.5, \"items\": [{{\"product_id\": 7, \"quantity\": 4}}]}}'
  {post} http://{orders}/orders/ -d '{{\"id\": 2, \"customer_id\": 3, \"total\": 99, \"items\": [{{\"product_id\": 7, \"quantity\": 40}}]}}'
  curl http://{orders}/orders/1
  curl http://{orders}/orders/2
  curl http://{inventory}/products/7

Order 1 is confirmed, order 2 rejected. The carrier is busy at first for orders whose number ends in 8, and never takes
those that end in 9.
"
    )
}
