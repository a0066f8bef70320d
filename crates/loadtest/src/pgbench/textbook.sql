\set n random(0, 99999)
BEGIN;
INSERT INTO idempotency_key (principal, route, key, fingerprint, status, body)
    VALUES ('bench', 'POST /earn', gen_random_uuid()::text, decode(repeat('00', 32), 'hex'), 201, '');
SELECT account_id AS id, version + 1 AS version, earned + 1 - used - held AS balance, gen_random_uuid() AS transfer
    FROM account WHERE account_id = ('00000000-0000-7000-8000-' || lpad(to_hex((:n)::int), 12, '0'))::uuid
    FOR UPDATE \gset
INSERT INTO transfer (transfer_id, kind, reference, merchant_id, occurred_at)
    VALUES ((:transfer)::uuid, 'earn', 'bench', '00000000-0000-0000-0000-000000000000', now());
WITH moved AS (UPDATE account SET earned = earned + 1, version = version + 1 WHERE account_id = (:id)::uuid)
INSERT INTO entry (entry_id, transfer_id, account_id, system_account, amount, account_version, balance)
    VALUES (gen_random_uuid(), (:transfer)::uuid, (:id)::uuid, NULL, 1, (:version)::bigint, (:balance)::bigint),
           (gen_random_uuid(), (:transfer)::uuid, NULL, 'issuance', -1, NULL, NULL);
COMMIT;
