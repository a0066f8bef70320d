//! Scripts for pgbench: the same row as our booking.

const ROW: &str = r"INSERT INTO booking (booking_id, merchant_id, staff_id, member_id, during, status, price_minor, created_at, updated_at, service_id, buffer_minutes) SELECT gen_random_uuid(), ('00000000-0000-7000-8000-0001' || lpad(to_hex((:s)::int / 20), 8, '0'))::uuid, ('00000000-0000-7000-8000-0003' || lpad(to_hex((:s)::int), 8, '0'))::uuid, gen_random_uuid(), tstzrange(at, at + interval '30 minutes', '[)'), 'confirmed', 0, now(), now(), NULL, 0 FROM (SELECT date_trunc('day', now()) + interval '62 days' + (:k)::int * interval '15 minutes' AS at) x ON CONFLICT DO NOTHING RETURNING booking_id;
";

const DRAW: &str = "\\set s random(0, 999)\n\\set k random(0, 32000)\n";

/// Our own statement: with the lock of its key, whose merchant it is, the message that nobody gets and the answer
/// that is kept.
/// What we could reach if HTTP and the service cost nothing.
pub(crate) fn statement() -> String {
    let owned = "EXISTS (SELECT FROM merchant WHERE owner_id = merchant_id AND merchant_id = \
         ('00000000-0000-7000-8000-0001' || lpad(to_hex((:s)::int / 20), 8, '0'))::uuid)";
    let row =
        ROW.replace(" x ON CONFLICT", &format!(" x, claimed WHERE mine AND {owned} ON CONFLICT"));
    let row = row.trim_end().trim_end_matches(';');
    format!(
        "{DRAW}WITH claimed AS MATERIALIZED (SELECT pg_try_advisory_xact_lock((random() * 1e18)::bigint) \
         AS mine), booked AS ({row}, merchant_id, member_id), told AS (INSERT INTO notification_logs \
         (notification_id, merchant_id, booking_id, member_id, kind, starts_at) SELECT \
         gen_random_uuid(), merchant_id, booking_id, member_id, 'booked', now() FROM booked JOIN \
         line_contact USING (merchant_id, member_id) JOIN merchant_line USING (merchant_id)) INSERT \
         INTO idempotency_key (principal, route, key, fingerprint, status, body) SELECT member_id::text, \
         'POST /v1/bookings', booking_id::text, decode(repeat('00', 32), 'hex'), 201, \
         decode(repeat('00', 330), 'hex') FROM booked;\n"
    )
}

/// The same insert, and nothing else.
pub(crate) fn insert() -> String {
    format!("{DRAW}{ROW}")
}

/// The same insert with the key that makes it safe to repeat, a statement at a time, as a service that
/// follows the textbook does.
pub(crate) fn textbook() -> String {
    format!(
        "{DRAW}BEGIN;\n{ROW}INSERT INTO idempotency_key (principal, route, key, fingerprint, status, \
         body) VALUES ('bench', 'POST /v1/bookings', gen_random_uuid()::text, \
         decode(repeat('00', 32), 'hex'), 201, '');\nCOMMIT;\n"
    )
}
