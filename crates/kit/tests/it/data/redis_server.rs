//! Direct access to the Redis server, past the code under test.

use testkit::redis::Server;

/// Opens the test's own connection.
pub async fn raw(server: &Server) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(server.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}
