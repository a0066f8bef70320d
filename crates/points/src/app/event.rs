//! What the world is told: one event for each transfer, written in the transaction that made it.
//!
//! Nobody in this system needs them yet, so they go to a Redis stream that others may read. An event's
//! id is its transfer's, which is how the audit finds a transfer that nobody was told of.

use anyhow::Context as _;
use kit::outbox::{self, DeliverAll, Event};
use kit::redis::Redis;
use observability::Carrier;
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Points;
use crate::domain::{Decision, Side, Transfer};
use crate::store::Published;

/// The stream's key, and about how many events it keeps.
const STREAM: &str = "events";
const STREAM_LENGTH: &[u8] = b"50000";

/// All of them or none, in one round trip.
const APPEND: &str = "
for i = 2, #ARGV do
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'event', ARGV[i])
end
return #ARGV - 1";

#[derive(Serialize)]
struct Payload<'a> {
    transfer_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    merchant_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_id: Option<Uuid>,
    /// The transfer that it undoes.
    #[serde(skip_serializing_if = "Option::is_none")]
    reverses: Option<Uuid>,
    reference: &'a str,
    /// The members' sides.
    entries: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    account_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    member_id: Option<Uuid>,
    amount: i64,
    /// What the account could spend after it.
    balance: i64,
    /// The account's version after it. Whoever applies an account's events by it notices one that is
    /// missing, or came twice.
    version: i64,
}

/// The event of a decision, unless it moved nothing.
pub(super) fn of<'a>(decision: &'a Decision, carrier: &Carrier) -> Option<Published<'a>> {
    let transfer = decision.transfer.as_ref()?;
    let payload = Payload {
        transfer_id: transfer.id.0,
        merchant_id: transfer.merchant.map(|id| id.0),
        hold_id: transfer.hold.map(|id| id.0),
        reverses: transfer.reverses.map(|id| id.0),
        reference: transfer.reference.as_str(),
        entries: lines(decision, transfer),
    };
    // Who pays, or else who is paid: their events are delivered in order.
    let account = payload.entries.first().map_or(transfer.id.0, |line| line.account_id);
    Some(Published {
        transfer,
        aggregate: format!("account:{account}"),
        payload: serde_json::to_string(&payload).unwrap_or_default(),
        carrier: serde_json::to_string(carrier).unwrap_or_default(),
    })
}

fn lines(decision: &Decision, transfer: &Transfer) -> Vec<Line> {
    let sides = transfer.entries.iter().filter_map(|entry| match entry.side {
        Side::Member(account, balance) => Some((account, balance, entry.amount)),
        Side::System(_) => None,
    });
    sides
        .map(|(account, balance, amount)| Line {
            account_id: account.0,
            member_id: decision
                .accounts
                .iter()
                .find(|changed| changed.id == account)
                .map(|changed| changed.member.0),
            amount,
            balance: balance.available(),
            version: balance.version(),
        })
        .collect()
}

impl Points {
    /// Delivers our events until `stop`.
    pub async fn publish_events(self, stop: CancellationToken) {
        outbox::relay_batches(self.db, Stream(self.redis), stop).await;
    }
}

/// The Redis stream. Without Redis there are no readers, and nothing to wait for.
struct Stream(Redis);

impl DeliverAll for Stream {
    async fn deliver_all(&self, events: &[(Event, Carrier)]) -> anyhow::Result<()> {
        if !self.0.is_enabled() {
            return Ok(());
        }
        let events: Vec<_> = events.iter().map(entry).collect();
        let arguments: Vec<&[u8]> =
            std::iter::once(STREAM_LENGTH).chain(events.iter().map(Vec::as_slice)).collect();
        self.0.eval::<i64>(APPEND, STREAM, &arguments).await.context("the stream of events")?;
        Ok(())
    }
}

/// An event as it is in the stream.
fn entry((event, carrier): &(Event, Carrier)) -> Vec<u8> {
    let entry = json!({
        "id": event.id,
        "kind": event.kind,
        "aggregate": event.aggregate,
        "occurred_at": event.occurred_at,
        "payload": event.payload,
        "traceparent": carrier.traceparent,
    });
    entry.to_string().into_bytes()
}
