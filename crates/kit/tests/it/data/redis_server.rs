//! Past everything that is tested.

use testkit::redis::Server;

/// A connection of the test's own.
pub async fn raw(server: &Server) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(server.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}
