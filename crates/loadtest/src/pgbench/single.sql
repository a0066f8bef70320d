\set n random(0, 99999)
WITH a AS (
    UPDATE account SET earned = earned + 1, version = version + 1
    WHERE account_id = ('00000000-0000-7000-8000-' || lpad(to_hex((:n)::int), 12, '0'))::uuid
    RETURNING account_id, version, earned - used - held AS balance
), k AS (
    INSERT INTO idempotency_key (principal, route, key, fingerprint, status, body)
    VALUES ('bench', 'POST /earn', gen_random_uuid()::text, decode(repeat('00', 32), 'hex'), 201, '')
), t AS (
    INSERT INTO transfer (transfer_id, kind, reference, merchant_id, occurred_at)
    VALUES (gen_random_uuid(), 'earn', 'bench', '00000000-0000-0000-0000-000000000000', now())
    RETURNING transfer_id
)
INSERT INTO entry (entry_id, transfer_id, account_id, system_account, amount, account_version, balance)
SELECT gen_random_uuid(), t.transfer_id, a.account_id, NULL, 1, a.version, a.balance FROM a, t
UNION ALL SELECT gen_random_uuid(), t.transfer_id, NULL, 'issuance', -1, NULL, NULL FROM t;
