DROP TABLE inbox_message;
DROP TABLE outbox_event;
DROP TABLE idempotency_key;
