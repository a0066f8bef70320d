//! The memory of one request. A future grows by all that it may ever await, twice with each wrapper, and is moved a
//! few times: at 50 KiB, the moves took a quarter of the service's CPU time.

use kit::Clock;
use kit::caller::Role;
use kit::idempotency::Key;
use kit::redis::Redis;
use points::app::{AskedEarning, Points};
use points::domain::command::Earn;
use points::domain::{AccountId, AccountRef, Actor};
use sqlx::PgPool;
use testkit::tokens::Issuer;
use uuid::Uuid;

const ROOM: usize = 4 * 1024;

#[tokio::test]
async fn a_request_needs_little_room() {
    let db = PgPool::connect_lazy("postgres://127.0.0.1:1/none").unwrap();
    let points = Points::new(db, Redis::disabled(), Clock::system());
    let asked = AskedEarning {
        purchase_minor: None,
        currency: None,
        points: Some(Some(1)),
        merchant: Uuid::nil(),
        reference: String::new(),
    };
    let account = AccountRef::Id(AccountId(Uuid::nil()));
    let earn = Earn::try_new(Actor::Operator, account, asked, points.currency()).unwrap();
    let key = Key::new("key", "route", b"").unwrap();
    let earn = points.earn_or_queue(String::new(), key, earn);
    let balance = points.balance(&Actor::Operator, account);
    let issuer = Issuer::new();
    let (verifier, token) = (issuer.verifier(), issuer.with_roles(Uuid::nil(), &[Role::Operator]));
    let caller = verifier.member(&token);

    let sizes = [
        ("earn", size_of_val(&earn)),
        ("balance", size_of_val(&balance)),
        ("caller", size_of_val(&caller)),
    ];
    assert!(sizes.iter().all(|(_, size)| *size <= ROOM), "{sizes:?}");
}
